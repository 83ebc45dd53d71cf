"""Resources: configuration and one method that opens a library object."""

import dagster as dg

from lake_assets.lake import Datamart, open_datamart
from lake_assets.settings import LakeSettings, load_settings

__all__ = ["LakeResource"]


class LakeResource(dg.ConfigurableResource):
    """The lake and the exports that feed it.

    What is not set here comes from LAKE_ROOT, LAKE_EXPORTS and the YAML file (LAKE_CONFIG, else
    lake.yaml). Credentials are boto3's: profiles, SSO, roles, environment, AWS_ENDPOINT_URL.
    """

    root: str | None = None
    """A folder or ``s3://bucket/prefix``."""
    exports: str | None = None
    """What holds the datamart folder: a folder, a bucket or a prefix."""
    config: str | None = None
    """A YAML file."""

    def settings(self) -> LakeSettings:
        """The settings in force."""
        return load_settings(self.config, root=self.root, exports=self.exports)

    def open(self) -> Datamart:
        """The opened datamart line."""
        return open_datamart(self.settings())
