"""The models of the catalogue can be listed, and found by id or alias."""

from collections.abc import Sequence

import pytest

from domain.entities.model import Model
from domain.exceptions import RetiredModel, UnknownModel
from domain.interfaces.model_catalogue import ModelCatalogue
from domain.use_cases.list_models import ListModels

DEFAULT = Model(id="large", owned_by="p", aliases=("best",))
SMALL = Model(id="small", owned_by="p")


class TwoModels(ModelCatalogue):
    """Two models, and one that was retired."""

    def models(self) -> Sequence[Model]:
        return [DEFAULT, SMALL]

    def resolve(self, name: str | None) -> Model:
        if name == "old":
            raise RetiredModel(("large", "small"), "small")
        for model in self.models():
            if name in (model.id, *model.aliases):
                return model
        raise UnknownModel(("large", "small"))


def test_all_models_are_listed_the_default_one_first() -> None:
    assert ListModels(TwoModels())() == [DEFAULT, SMALL]


@pytest.mark.parametrize(
    ("name", "model"), [("large", DEFAULT), ("best", DEFAULT), ("small", SMALL)]
)
def test_a_model_is_found_by_its_id_or_an_alias(name: str, model: Model) -> None:
    assert ListModels(TwoModels()).one(name) == model


def test_an_unknown_model_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UnknownModel) as raised:
        ListModels(TwoModels()).one("other")
    assert raised.value.known == ("large", "small")


def test_a_retired_model_is_an_error_that_names_its_successor() -> None:
    with pytest.raises(RetiredModel) as raised:
        ListModels(TwoModels()).one("old")
    assert raised.value.successor == "small"
