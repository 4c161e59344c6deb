"""Calls of providers and their outcomes"""

from source.panels import MODEL, ROUTE, CloudWatch, Page, Panel, Prometheus, Unit, spread_of_seconds

_CALLS = "gen_ai_client_operation_duration_seconds"
_FIRST = "gen_ai_client_operation_time_to_first_chunk_seconds"
_TOKENS = "gen_ai_client_token_usage"
_ROUTE = "gen_ai_provider_name, gen_ai_response_model"
_NAMES = "{{gen_ai_provider_name}} {{gen_ai_response_model}}"

PAGE = Page(
    uid="rt-providers",
    title="rt-genai: providers",
    panels=(
        Panel(
            title="Calls by outcome",
            says="An empty outcome is a successful call.",
            unit=Unit.PER_SECOND,
            prometheus=(
                Prometheus(
                    f"sum by ({_ROUTE}, error_type) (rate({_CALLS}_count[$__rate_interval]))",
                    f"{_NAMES} {{{{error_type}}}}",
                ),
            ),
            cloudwatch=(CloudWatch("Attempts", "Sum", ROUTE),),
        ),
        Panel(
            title="Share of calls that fail",
            says="Answers that a safety filter blocked or the caller abandoned do not count as failures.",
            unit=Unit.SHARE,
            prometheus=(
                Prometheus(
                    f'sum by (gen_ai_provider_name) (rate({_CALLS}_count{{error_type!~"|blocked|cancelled"}}'
                    "[$__rate_interval]))"
                    f" / sum by (gen_ai_provider_name) (rate({_CALLS}_count[$__rate_interval]))",
                    "{{gen_ai_provider_name}}",
                ),
            ),
            cloudwatch=(CloudWatch("FailedAttempts", "Sum"), CloudWatch("AllAttempts", "Sum")),
        ),
        spread_of_seconds(
            "Duration of calls",
            "Successful calls only.",
            _CALLS,
            "AttemptSeconds",
            by=_ROUTE,
            where='{error_type=""}',
            per=ROUTE,
        ),
        spread_of_seconds(
            "Time to the first token",
            "Time until a streaming client sees text.",
            _FIRST,
            "FirstChunkSeconds",
            by=_ROUTE,
            per=MODEL,
        ),
        Panel(
            title="Tokens a second",
            says="As billed; output includes reasoning.",
            unit=Unit.COUNT,
            prometheus=(
                Prometheus(
                    f"sum by ({_ROUTE}, gen_ai_token_type) (rate({_TOKENS}_sum[$__rate_interval]))",
                    f"{_NAMES} {{{{gen_ai_token_type}}}}",
                ),
            ),
            cloudwatch=(
                CloudWatch("InputTokens", "Sum", MODEL),
                CloudWatch("OutputTokens", "Sum", MODEL),
            ),
        ),
        Panel(
            title="Routes that are not healthy",
            says="1 while a route cools, is open, probes, or has a rejected key.",
            unit=Unit.COUNT,
            prometheus=(
                Prometheus(
                    'max by (provider, model, state) (rt_route_state{state!="healthy"})',
                    "{{provider}} {{model}} {{state}}",
                ),
            ),
            cloudwatch=(CloudWatch("RoutesNotWell", "Maximum"),),
        ),
        Panel(
            title="Retries and fallbacks",
            says="Per route: repeated calls, and calls instead of another route.",
            unit=Unit.PER_SECOND,
            prometheus=(
                Prometheus(
                    "sum by (provider, model) (rate(rt_route_retries_total[$__rate_interval]))",
                    "retry {{provider}} {{model}}",
                ),
                Prometheus(
                    "sum by (provider, model) (rate(rt_route_fallbacks_total[$__rate_interval]))",
                    "fallback {{provider}} {{model}}",
                ),
            ),
            cloudwatch=(CloudWatch("Retries", "Sum"), CloudWatch("Fallbacks", "Sum")),
        ),
        Panel(
            title="Calls in flight",
            says="Per instance and provider; at MAX_CALLS_PER_PROVIDER the next route is called.",
            unit=Unit.COUNT,
            prometheus=(Prometheus("rt_provider_calls_in_flight", "{{instance}} {{provider}}"),),
            cloudwatch=(CloudWatch("ProviderCallsInFlight", "Maximum"),),
        ),
        Panel(
            title="Calls refused by the concurrency limit",
            says="Not made because of MAX_CALLS_PER_PROVIDER; should be 0. The next route was called, or the chat refused.",
            unit=Unit.PER_SECOND,
            prometheus=(
                Prometheus(
                    "sum by (provider) (rate(rt_provider_calls_refused_total[$__rate_interval]))",
                    "{{provider}}",
                ),
            ),
            cloudwatch=(CloudWatch("ProviderCallsRefused", "Sum"),),
        ),
        Panel(
            title="Requested and called models",
            says="Left the requested model, right the called one; if they differ, a fallback was called.",
            unit=Unit.PER_SECOND,
            prometheus=(
                Prometheus(
                    "sum by (gen_ai_request_model, gen_ai_response_model)"
                    f" (rate({_CALLS}_count[$__rate_interval]))",
                    "{{gen_ai_request_model}} → {{gen_ai_response_model}}",
                ),
            ),
            cloudwatch=(CloudWatch("Attempts", "Sum", ROUTE),),
        ),
    ),
)
