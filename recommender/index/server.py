"""The collections of a Qdrant server, over gRPC. Any number of processes may share them."""

from math import ceil

from qdrant_client import QdrantClient, models

from config.settings import PREFIX, IndexSettings
from recommender.encoders.recipe import Recipe
from recommender.errors import IndexUnavailable, StartupError
from recommender.index.products import PointIndex
from recommender.index.protocol import Collection
from recommender.index.schema import VECTOR, IndexKind, Schema
from recommender.index.server_points import ServerStore, answering
from recommender.index.server_storage import OLDEST_WITH, storage_of, vector_params
from recommender.index.storage import say_what_stays

_RECIPE = "recipe"  # its key in a collection's metadata
_OLDEST_SERVER = (1, 17)  # the first that knows update_mode; older ones ignore it and overwrite

_SCHEMA_TYPE: dict[IndexKind, models.PayloadSchemaType] = {
    "keyword": models.PayloadSchemaType.KEYWORD,
    "integer": models.PayloadSchemaType.INTEGER,
    "float": models.PayloadSchemaType.FLOAT,
}


class ServerEngine:
    """The collections of one catalog on one server; implements `IndexEngine`.

    Args:
        url: names the host; only its gRPC port, `settings.grpc_port`, is spoken to.
        settings: key, port and deadline.
        schema: that of the catalog.

    Raises:
        StartupError: the server is too old to keep its promises.
        IndexUnavailable: it doesn't answer.
    """

    def __init__(self, url: str, settings: IndexSettings, schema: Schema) -> None:
        self._url = url
        self._schema = schema
        self._storage = settings.storage
        self._rescore = settings.rescore
        self._client = QdrantClient(
            url=url,
            grpc_port=settings.grpc_port,
            prefer_grpc=True,
            api_key=settings.api_key.get_secret_value() if settings.api_key else None,
            timeout=ceil(settings.timeout_s),
            check_compatibility=False,  # it warns where we refuse, and over REST
        )
        try:
            self._check_version("writing by condition", _OLDEST_SERVER)
        except BaseException:
            self._client.close()
            raise

    def create(self, fingerprint: str, dimension: int, recipe: Recipe | None = None) -> None:
        """Create the collection and its payload indexes, before any point; a no-op if it exists.

        Raises:
            StartupError: the server is too old for the storage of the settings.
        """
        name = self._schema.collection(fingerprint)
        vectors = vector_params(dimension, self._storage)
        if not self._exists(name):
            if self._storage in OLDEST_WITH:
                need = f"{PREFIX}INDEX__STORAGE={self._storage}"
                self._check_version(need, OLDEST_WITH[self._storage])
            try:
                with answering():
                    self._client.create_collection(
                        name,
                        vectors_config={VECTOR: vectors},
                        metadata={_RECIPE: recipe.as_json()} if recipe else None,
                    )
            except IndexUnavailable:
                if not self._exists(name):  # else another process was faster
                    raise
        self._ensure_indexes(name)

    def recipe(self, fingerprint: str) -> Recipe | None:
        """Return the recipe that the collection was created with.

        Raises:
            KeyError: there is none of this fingerprint.
        """
        name = self._schema.collection(fingerprint)
        if not self._exists(name):
            raise KeyError(fingerprint)
        with answering():
            said = (self._client.get_collection(name).config.metadata or {}).get(_RECIPE)
        return Recipe.from_json(said) if said else None

    def open(self, fingerprint: str) -> PointIndex:
        """Open one collection.

        Raises:
            KeyError: there is none of this fingerprint.
        """
        name = self._schema.collection(fingerprint)
        if not self._exists(name):
            raise KeyError(fingerprint)
        with answering():
            vectors = self._client.get_collection(name).config.params.vectors
        assert isinstance(vectors, dict)
        self._ensure_indexes(name)
        storage = storage_of(vectors[VECTOR])
        say_what_stays(name, storage, self._storage)
        store = ServerStore(self._client, name, vectors[VECTOR].size, storage, rescore=self._rescore)
        return PointIndex(store, self._schema, fingerprint)

    def describe(self, fingerprint: str) -> Collection:
        """Look at one collection; changes nothing.

        Raises:
            KeyError: there is none of this fingerprint.
        """
        name = self._schema.collection(fingerprint)
        if not self._exists(name):
            raise KeyError(fingerprint)
        with answering():
            found = self._client.get_collection(name)
        vectors = found.config.params.vectors
        vector = vectors.get(VECTOR) if isinstance(vectors, dict) else vectors
        indexed = {field: info.data_type for field, info in found.payload_schema.items()}
        wanted = {field: _SCHEMA_TYPE[kind] for field, kind in self._schema.payload_indexes.items()}
        return Collection(
            points=found.points_count or 0,
            dimension=vector.size if vector else 0,
            distance=vector.distance.value.lower() if vector else "",
            missing_indexes=tuple(field for field, kind in wanted.items() if indexed.get(field) != kind),
            storage=storage_of(vector) if vector else "float32",
        )

    def fingerprints(self) -> list[str]:
        """List the fingerprints of all collections of this catalog, sorted."""
        with answering():
            names = [collection.name for collection in self._client.get_collections().collections]
        return sorted(known for name in names if (known := self._schema.fingerprint(name)))

    def serving(self) -> str | None:
        """Return the fingerprint that the alias names; None before the first promotion."""
        with answering():
            aliases = self._client.get_aliases().aliases
        named = {alias.alias_name: alias.collection_name for alias in aliases}
        collection = named.get(self._schema.catalog)
        return self._schema.fingerprint(collection) if collection else None

    def promote(self, fingerprint: str) -> None:
        """Point the alias at this collection, atomically.

        Raises:
            KeyError: there is none of this fingerprint.
        """
        if fingerprint not in self.fingerprints():
            raise KeyError(fingerprint)
        alias = self._schema.catalog
        actions: list[models.AliasOperations] = []
        if self.serving() is not None:
            actions.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)))
        target = models.CreateAlias(collection_name=self._schema.collection(fingerprint), alias_name=alias)
        actions.append(models.CreateAliasOperation(create_alias=target))
        with answering():
            self._client.update_collection_aliases(actions)

    def drop(self, fingerprint: str) -> None:
        """Delete one collection; the serving one is refused with ValueError."""
        if fingerprint == self.serving():
            raise ValueError(f"{fingerprint} is serving: promote another collection first")
        with answering():
            self._client.delete_collection(self._schema.collection(fingerprint))

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._client.close()

    def _exists(self, name: str) -> bool:
        with answering():
            return self._client.collection_exists(name)

    def _check_version(self, need: str, oldest: tuple[int, int]) -> None:
        with answering():
            version = self._client.info().version
        major, minor = (int(part) for part in version.split(".")[:2])
        if (major, minor) < oldest:
            first = ".".join(str(part) for part in oldest)
            raise StartupError(
                f"the Qdrant server at {self._url} is {version}; {need} needs {first} or newer"
            )

    def _ensure_indexes(self, name: str) -> None:
        """Create the payload indexes that are missing; they may be when a creation was cut short."""
        with answering():
            existing = self._client.get_collection(name).payload_schema
            for field, kind in self._schema.payload_indexes.items():
                if field not in existing:
                    self._client.create_payload_index(name, field, _SCHEMA_TYPE[kind], wait=True)
