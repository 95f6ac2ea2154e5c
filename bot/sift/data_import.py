"""Data imports as frozen values: the file, what it was imported for, and what went wrong.

Source: Sift's protobuf messages (`sift.data_imports.v2`, PyPI sift-stack-py).
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, model_validator

from bot.sift.value import Moment, Name, Text, Texts, Value

CONFIGS = ("csv", "parquet", "tdms", "hdf5", "ch10", "ulog", "mcap", "batch")
"""How a file may be read; the configuration of just one is set, and holds what the uploader said."""

MAX_WARNINGS = 100


def _warnings(value: Any) -> Any:
    return value[:MAX_WARNINGS] if isinstance(value, list | tuple) else ()


class DataImport(Value):
    """A file that is, was, or could not be imported."""

    data_import_id: Text = ""
    source_url: Text = ""
    status: Text = ""
    error_message: Text = ""
    warning_messages: Annotated[Texts, BeforeValidator(_warnings)] = ()
    created_date: Moment = None
    run_id: Text = ""
    asset_id: Text = ""
    report_id: Text = ""
    data_start_time: Moment = None
    data_stop_time: Moment = None
    uploader_run: Name = ""
    uploader_asset: Name = ""
    """What the uploader called run and asset, there before either exists."""

    @model_validator(mode="before")
    @classmethod
    def _with_the_uploader_s_names(cls, value: Any) -> Any:
        """Adds the names out of whichever configuration is set: its columns are not kept, only these."""
        if not isinstance(value, dict):
            return value
        configs = [config for kind in CONFIGS if isinstance(config := value.get(f"{kind}Config"), dict)]
        run = next((name for config in configs if (name := config.get("runName"))), "")
        asset = next((name for config in configs if (name := config.get("assetName"))), "")
        return {"uploaderRun": run, "uploaderAsset": asset, **value}
