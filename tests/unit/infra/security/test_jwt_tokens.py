"""Tokens: which hold, which do not, and what happens while the issuer is away."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from domain.entities.caller import USER_SCOPES, Scope
from domain.exceptions import AuthUnavailable, Unauthenticated
from infra.clock import SystemClock
from infra.security.jwk_set import JwkSet, UnusableKeySet
from infra.security.jwks import KEEP_SECONDS, LOOK_AGAIN_SECONDS, Jwks, open_jwks
from infra.security.jwt_tokens import TokenRules, TokenVerifier
from tests.fakes.issuer import AUDIENCE, ISSUER, KEYS, WEAK_KEY, Issuer, issuing, jwk_of, token
from tests.support.bad_tokens import (
    BAD,
    STRANGER,
    by_hand,
    encoded,
    es256,
    hs256_with,
)

RULES = TokenRules(issuer=ISSUER, audience=AUDIENCE)


class ShiftedClock(SystemClock):
    """The host's clock, so many seconds ahead, which never lets a sleeper wake."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0

    def now_milliseconds(self) -> int:
        return super().now_milliseconds() + round(self.ahead_seconds * 1000)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


class Verifying:
    """A verifier, its issuer, and the clock between them."""

    def __init__(
        self, issuer: Issuer, jwks: Jwks, clock: ShiftedClock, rules: TokenRules = RULES
    ) -> None:
        self.issuer = issuer
        self.jwks = jwks
        self.clock = clock
        self.verifier = TokenVerifier(rules, jwks, clock)

    async def holds(self, shown: bytes) -> bool:
        try:
            await self.verifier.authenticate(shown)
        except Unauthenticated:
            return False
        return True


@asynccontextmanager
async def verifying(issuer: Issuer, rules: TokenRules = RULES) -> AsyncIterator[Verifying]:
    clock = ShiftedClock()
    async with open_jwks(issuer.url, clock) as jwks:
        yield Verifying(issuer, jwks, clock, rules)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing(Issuer()) as issuer:
        yield issuer


@pytest.fixture
async def v(issuer: Issuer) -> AsyncIterator[Verifying]:
    async with verifying(issuer) as verifying_:
        await verifying_.jwks.refresh()
        yield verifying_


@pytest.mark.parametrize("algorithm", KEYS)
async def test_a_good_token_tells_its_user_who_has_all_scopes_on_themself(
    v: Verifying, algorithm: str
) -> None:
    caller = await v.verifier.authenticate(token(algorithm))
    assert (caller.user_id, caller.scopes) == ("ana", USER_SCOPES)
    assert caller.principal == caller.rate_limit_key == "user:ana"
    assert caller.credential == "token"


@pytest.mark.parametrize(
    ("claims", "may"),
    [
        ({"scope": "openid admin:read"}, True),
        ({"scope": ["admin:read"]}, True),
        ({"scp": "profile admin:read"}, True),
        ({"scp": ["admin:read", 1]}, True),
        ({"scope": "admin:reader xadmin:read admin:read,chat:write"}, False),
        ({"scope": 7, "scp": {"admin:read": True}}, False),
        ({"roles": ["admin:read"], "admin:read": True}, False),
    ],
)
async def test_the_usage_of_all_users_needs_a_scope_that_the_issuer_names(
    v: Verifying, claims: dict[str, Any], may: bool
) -> None:
    caller = await v.verifier.authenticate(token("ES256", **claims))
    assert caller.scopes == (frozenset(Scope) if may else USER_SCOPES)


@pytest.mark.parametrize("algorithm", ["RS384", "RS512"])
async def test_an_rsa_key_that_names_no_algorithm_serves_its_family(
    v: Verifying, algorithm: str
) -> None:
    rsa_key = KEYS["RS256"]
    assert await v.holds(token(algorithm, key=rsa_key, headers={"kid": "RS256"}))


async def test_an_rsa_key_that_names_its_algorithm_serves_no_other(v: Verifying) -> None:
    v.issuer.keys = [jwk_of(KEYS["RS256"], "RS256", alg="RS256")]
    await v.jwks.refresh()
    assert await v.holds(token("RS256"))
    assert not await v.holds(token("RS512", key=KEYS["RS256"], headers={"kid": "RS256"}))


@pytest.mark.parametrize("case", BAD)
async def test_no_other_token_holds(v: Verifying, case: str) -> None:
    v.issuer.keys += [
        jwk_of(WEAK_KEY, "RS256", kid="weak"),
        jwk_of(KEYS["ES256"], "ES256", kid="for-encryption", use="enc"),
        {"kty": "oct", "kid": "shared", "k": encoded(b"x" * 32), "alg": "HS256"},
    ]
    await v.jwks.refresh()
    assert await v.holds(token())
    assert not await v.holds(BAD[case]())
    assert set(v.issuer.paths) == {"/jwks"}


async def test_a_token_made_by_hand_holds_when_all_of_it_is_right(v: Verifying) -> None:
    assert await v.holds(by_hand({"alg": "ES256", "kid": "ES256"}, es256))
    assert await v.holds(by_hand({"alg": "ES256", "kid": "ES256", "typ": "at+JWT"}, es256))


async def test_a_clock_that_differs_a_little_is_forgiven(v: Verifying) -> None:
    assert await v.holds(token(exp=int(time.time()) - 20))
    assert await v.holds(token(nbf=int(time.time()) + 20))


async def test_one_of_several_audiences_is_enough(v: Verifying) -> None:
    assert await v.holds(token(aud=["other", AUDIENCE]))


async def test_another_claim_may_name_the_user(issuer: Issuer) -> None:
    rules = TokenRules(issuer=ISSUER, audience=AUDIENCE, user_claim="email")
    async with verifying(issuer, rules) as v:
        caller = await v.verifier.authenticate(token(email="ana+x@example.org"))
        assert caller.user_id == "ana+x@example.org"
        assert not await v.holds(token())


@pytest.mark.parametrize("name", ["jku", "x5u"])
async def test_where_a_token_points_to_is_never_asked(v: Verifying, name: str) -> None:
    elsewhere = v.issuer.url.replace("/jwks", "/elsewhere")
    stranger = jwk_of(STRANGER, "ES256")
    headers = {name: elsewhere, "jwk": stranger}
    assert not await v.holds(token(key=STRANGER, headers=headers))
    assert not await v.holds(token(key=STRANGER, headers={**headers, "kid": "other"}))
    assert await v.holds(token(headers=headers))
    assert set(v.issuer.paths) == {"/jwks"}


async def test_a_token_without_a_key_name_needs_the_only_key_of_its_kind(v: Verifying) -> None:
    def without_kid() -> bytes:
        return jwt.encode(
            jwt.decode(token(), options={"verify_signature": False}), KEYS["ES256"], "ES256"
        ).encode()

    assert await v.holds(without_kid())
    v.issuer.keys.append(jwk_of(STRANGER, "ES256", kid="second"))
    await v.jwks.refresh()
    assert not await v.holds(without_kid())


async def test_a_known_token_costs_no_second_check_until_it_expires(v: Verifying) -> None:
    shown = token(exp=int(time.time()) + 300)
    first = await v.verifier.authenticate(shown)
    assert await v.verifier.authenticate(shown) is first
    v.clock.ahead_seconds = 329
    assert await v.holds(shown)
    v.clock.ahead_seconds = 331
    assert not await v.holds(shown)


async def test_tokens_that_begin_alike_are_told_apart(v: Verifying) -> None:
    """The head of a token is the same for all users of an issuer, so it must never be what names it."""
    for user in ("ana", "bob", "eve"):
        assert (await v.verifier.authenticate(token(sub=user))).user_id == user


async def test_a_token_holds_no_longer_when_its_key_is_withdrawn(v: Verifying) -> None:
    shown = token("ES384")
    assert await v.holds(shown)
    v.issuer.keys = [jwk for jwk in v.issuer.keys if jwk["kid"] != "ES384"]
    await v.jwks.refresh()
    assert not await v.holds(shown)
    assert await v.holds(token("ES256"))


async def test_unchanged_keys_keep_what_was_checked(v: Verifying) -> None:
    first = await v.verifier.authenticate(shown := token())
    await v.jwks.refresh()
    assert await v.verifier.authenticate(shown) is first


async def test_a_thousand_unknown_keys_make_us_ask_once(v: Verifying) -> None:
    asked = v.issuer.fetches
    made_up = [token(headers={"kid": f"made-up-{number}"}) for number in range(1000)]
    assert not any(await asyncio.gather(*(v.holds(shown) for shown in made_up[:500])))
    assert v.issuer.fetches == asked
    v.clock.ahead_seconds = LOOK_AGAIN_SECONDS
    assert not any(await asyncio.gather(*(v.holds(shown) for shown in made_up)))
    assert v.issuer.fetches == asked + 1


async def test_a_token_of_a_kind_we_do_not_take_never_makes_us_ask(v: Verifying) -> None:
    asked = v.issuer.fetches
    v.clock.ahead_seconds = LOOK_AGAIN_SECONDS
    assert not await v.holds(by_hand({"alg": "HS256", "kid": "x"}, hs256_with(b"x" * 32)))
    assert v.issuer.fetches == asked


async def test_one_who_leaves_while_the_keys_are_fetched_leaves_the_others_waiting(
    issuer: Issuer,
) -> None:
    issuer.delay_seconds = 0.3
    async with verifying(issuer) as v:
        asking = [asyncio.create_task(v.holds(token())) for _ in range(3)]
        while not issuer.fetches:
            await asyncio.sleep(0.01)
        asking[0].cancel()
        assert all(await asyncio.gather(*asking[1:]))
        assert issuer.fetches == 1


async def test_a_new_key_of_the_issuer_is_found(v: Verifying) -> None:
    fresh = ec.generate_private_key(ec.SECP256R1())
    shown = token(key=fresh, headers={"kid": "fresh"})
    assert not await v.holds(shown)
    v.issuer.keys.append(jwk_of(fresh, "ES256", kid="fresh"))
    v.clock.ahead_seconds = LOOK_AGAIN_SECONDS
    assert await v.holds(shown)


Away = Callable[[Issuer], Awaitable[None]]


async def answers_500(issuer: Issuer) -> None:
    issuer.answer = web.Response(status=500)


async def redirects(issuer: Issuer) -> None:
    elsewhere = issuer.url.replace("/jwks", "/elsewhere")
    issuer.answer = web.Response(status=302, headers={"Location": elsewhere})


async def answers_no_keys(issuer: Issuer) -> None:
    issuer.answer = web.Response(body=b'{"keys": []}')


async def answers_no_json(issuer: Issuer) -> None:
    issuer.answer = web.Response(body=b"<html>")


async def answers_too_much(issuer: Issuer) -> None:
    issuer.answer = web.Response(body=b" " * 300_000 + json.dumps({"keys": issuer.keys}).encode())


@pytest.mark.parametrize(
    "fall", [answers_500, redirects, answers_no_keys, answers_no_json, answers_too_much]
)
async def test_while_the_issuer_is_away_good_tokens_hold_and_others_are_not_judged(
    v: Verifying, fall: Away
) -> None:
    known = token(exp=int(time.time()) + 2 * 86_400)
    assert await v.holds(known)
    await fall(v.issuer)
    v.clock.ahead_seconds = LOOK_AGAIN_SECONDS
    await v.jwks.refresh()
    assert [part.component for part in v.jwks.degradations()] == ["tokens"]
    assert await v.holds(known)
    assert await v.holds(token(exp=int(time.time()) + 2 * 86_400, sub="bob"))
    assert not await v.holds(token("ES256", key=STRANGER))
    with pytest.raises(AuthUnavailable):  # perhaps a key we cannot see
        await v.verifier.authenticate(token(headers={"kid": "new"}))
    v.clock.ahead_seconds = KEEP_SECONDS + 60
    for shown in (known, token()):
        with pytest.raises(AuthUnavailable):
            await v.verifier.authenticate(shown)
    assert "/elsewhere" not in v.issuer.paths
    v.issuer.answer = None
    await v.jwks.refresh()
    assert await v.holds(known)
    assert not v.jwks.degradations()


async def test_an_issuer_that_was_never_reached_is_a_503_and_asked_again() -> None:
    issuer = Issuer()
    async with issuing(issuer):
        port = int(issuer.url.split(":")[2].split("/")[0])
    clock = ShiftedClock()
    async with open_jwks(issuer.url, clock) as jwks:
        verifier = TokenVerifier(RULES, jwks, clock)
        with pytest.raises(AuthUnavailable):
            await verifier.authenticate(token())
        async with issuing(issuer, port):
            await jwks.refresh()
            assert (await verifier.authenticate(token())).user_id == "ana"


async def test_whoever_comes_before_the_first_fetch_ends_waits_for_it(issuer: Issuer) -> None:
    issuer.delay_seconds = 0.2
    async with verifying(issuer) as v:
        assert all(await asyncio.gather(*(v.holds(token()) for _ in range(20))))
        assert issuer.fetches == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"5",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [1, null, {}, {"kty": "EC"}, {"kty": "EC", "crv": "P-256", "x": 5, "y": 6}]}',
        b'{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": [1]}]}',
    ],
)
def test_what_is_no_key_set_is_refused(content: bytes) -> None:
    with pytest.raises(UnusableKeySet):
        JwkSet.parse(content)
