"""What goes wrong on a day of hot-fire tests: files, rules and exports, each with the trouble that it runs into."""

from dataclasses import dataclass, field

from bot.sandbox.payload import Payload
from bot.sandbox.sift.records import RuleFailure

COLD_FLOW, FIRST, SECOND, THIRD, FOURTH = "coldflow-031", "hotfire-116", "hotfire-117", "hotfire-118", "hotfire-119"
PLANNED, PLANNED_COLD_FLOW = "hotfire-120", "coldflow-032"

LIMITS = (
    "chamber_pressure_max",
    "chamber_pressure_min",
    "chamber_pressure_roughness",
    "injector_dp_max",
    "injector_dp_min",
    "lox_inlet_pressure_max",
    "lox_inlet_pressure_min",
    "lox_inlet_temp_max",
    "lox_tank_pressure_max",
    "lox_tank_pressure_min",
    "fuel_inlet_pressure_max",
    "fuel_inlet_pressure_min",
    "fuel_inlet_temp_max",
    "fuel_tank_pressure_max",
    "fuel_tank_pressure_min",
    "mixture_ratio_max",
    "mixture_ratio_min",
    "thrust_max",
    "thrust_min",
    "thrust_overshoot",
    "turbine_inlet_temp_max",
    "turbopump_speed_max",
    "turbopump_speed_min",
    "turbopump_vibration_rms",
    "bearing_temp_max",
    "nozzle_wall_temp_max",
    "coolant_flow_min",
    "coolant_outlet_temp_max",
    "igniter_current_max",
    "igniter_voltage_min",
    "helium_pressure_min",
    "purge_pressure_min",
    "gimbal_angle_max",
    "stand_vibration_rms",
    "load_cell_balance",
    "daq_clock_drift",
    "daq_dropped_samples",
    "ambient_wind_max",
    "deluge_flow_min",
    "water_tank_level_min",
)
SEQUENCE = (
    "main_valve_open_time",
    "main_valve_close_time",
    "lox_lead_time",
    "fuel_lag_time",
    "igniter_on_time",
    "igniter_off_time",
    "start_transient_time",
    "shutdown_transient_time",
    "purge_start_time",
    "abort_armed",
    "redline_enabled",
    "countdown_hold",
)
CHILL_DOWN = (
    "chill_line_temp_1",
    "chill_line_temp_2",
    "chill_line_temp_3",
    "lox_pump_temp_chilled",
    "bleed_valve_open",
    "boil_off_rate_max",
    "tank_ullage_pressure_max",
    "chill_duration_max",
)


@dataclass(frozen=True)
class ImportCase:
    """A kind of file with what is wrong with it; `{number}` differs from file to file, `{row}` now and then.

    Args:
        source: where the file is; empty for one that was uploaded.
    """

    run: str
    config: str
    source: str
    error: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluationCase:
    """A report, with the rules that cannot be evaluated."""

    run: str
    report: str
    rules: tuple[str, ...]
    failures: dict[str, RuleFailure]


@dataclass(frozen=True)
class ExportCase:
    """What is exported, and why that fails.

    Args:
        selection: the name of the export's selection in Sift's request.
    """

    run: str
    selection: str
    error: str
    form: str = "EXPORT_OUTPUT_FORMAT_PARQUET"
    channels: list[str] = field(default_factory=lambda: ["a1", "a2", "a3"])


_PRESSURE = ImportCase(
    THIRD,
    "csvConfig",
    "s3://stand-data/hotfire/telemetry_{number:04}.csv",
    "column 'tank_pressure_kpa' is not a number in row {row:,}",
    ("2 columns without data were left out: lox_temp_3, lox_temp_4",),
)
_TRUNCATED = ImportCase(
    FOURTH,
    "tdmsConfig",
    "https://files.sandbox.example/daq/stand-1%20fast/daq_{number:04}.tdms?expires=600&token=none",
    "segment 17 is cut off: expected 1,048,576 bytes, found 655,360",
)
_NO_TIME = ImportCase(SECOND, "parquetConfig", "s3://stand-data/hotfire/valves_{number:04}.parquet", "no column 'time'")
_UNORDERED = ImportCase(
    PLANNED,
    "csvConfig",
    "s3://stand-data/hotfire/telemetry_{number:04}.csv",
    "timestamps are not in ascending order in row {row:,}",
)
_UPLOADED = ImportCase(
    PLANNED_COLD_FLOW,
    "mcapConfig",
    "",
    "the source did not answer within 300 s",
    ("14 messages of topic /valves were repeated and left out",),
)

IMPORTS = (
    *(_PRESSURE, _TRUNCATED, _NO_TIME),
    *(_PRESSURE, _PRESSURE, _UNORDERED),
    *(_PRESSURE, _PRESSURE, _UPLOADED),
)

_MISSING = """Traceback (most recent call last):
  File "/rules/evaluate.py", line 118, in evaluate
    samples = channels[reference]
KeyError: '{channel}'
"""


def _no_channel(channel: str) -> RuleFailure:
    return RuleFailure(f"channel not found: {channel}", stderr=_MISSING.format(channel=channel))


_LIMITS_FAIL = EvaluationCase(
    THIRD,
    "Hot-fire limits",
    LIMITS,
    {
        "chamber_pressure_max": _no_channel("engine.chamber_pressure_1"),
        "injector_dp_min": _no_channel("engine.injector_dp"),
    },
)
_SEQUENCE_FAILS = EvaluationCase(
    FOURTH,
    "Start sequence",
    SEQUENCE,
    {
        "lox_lead_time": RuleFailure(
            "no result within 600 s", "ERROR", 124, stdout="evaluated 81 % of 9,216,000 samples"
        )
    },
)
_CHILL_DOWN_FAILS = EvaluationCase(
    COLD_FLOW,
    "Chill-down",
    CHILL_DOWN,
    {"boil_off_rate_max": RuleFailure("division by zero in 'mass_flow / valve_area'", exit_code=None)},
)

EVALUATIONS = (_LIMITS_FAIL, _SEQUENCE_FAILS, _LIMITS_FAIL, _LIMITS_FAIL, _CHILL_DOWN_FAILS)

EXPORTS = (
    ExportCase(THIRD, "runsAndTimeRange", "no data for channel <vehicle.tank & valve>.pressure"),
    ExportCase(
        FOURTH,
        "assetsAndTimeRange",
        "1.2 billion points are more than one file may have; choose fewer channels or a shorter time range",
        "EXPORT_OUTPUT_FORMAT_CSV",
    ),
    ExportCase(SECOND, "timeRange", "the store did not answer within 60 s"),
)

EXPORT_DETAILS: Payload = {
    "calculatedChannelConfigs": [
        {
            "name": "margin",
            "expression": "$1 - $2",
            "channelReferences": [
                {"channelReference": "$1", "channelIdentifier": "tank.pressure"},
                {"channelReference": "$2", "channelIdentifier": "tank.limit"},
            ],
            "units": "kPa",
        }
    ],
    "exportOptions": {
        "useLegacyFormat": False,
        "simplifyChannelNames": False,
        "combineRuns": True,
        "splitExportByAsset": True,
        "splitExportByRun": False,
    },
}
