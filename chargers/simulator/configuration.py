"""The configuration keys of the simulated station (OCPP 1.6, chapter 9)."""

from dataclasses import dataclass, field

MEASURANDS = frozenset(
    {
        "Energy.Active.Import.Register",
        "Power.Active.Import",
        "Power.Offered",
        "Current.Import",
        "Voltage",
        "SoC",
    }
)
PASSWORD_KEY = "AuthorizationKey"  # noqa: S105 the name of a key, not a password
MAX_PROFILES = 20
MAX_PERIODS = 24
MAX_STACK_LEVEL = 10

_READ_ONLY = {
    "ChargeProfileMaxStackLevel": str(MAX_STACK_LEVEL),
    "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
    "ChargingScheduleMaxPeriods": str(MAX_PERIODS),
    "GetConfigurationMaxKeys": "50",
    "LocalAuthListMaxLength": "1000",
    "MaxChargingProfilesInstalled": str(MAX_PROFILES),
    "ReserveConnectorZeroSupported": "false",
    "SendLocalListMaxLength": "1000",
    "StopTransactionOnEVSideDisconnect": "true",
    "SupportedFeatureProfiles": "Core,LocalAuthListManagement,RemoteTrigger,Reservation,SmartCharging",
    "UnlockConnectorOnEVSideDisconnect": "true",
    "WebSocketPingInterval": "30",
}
_BOOLEANS = {
    "AllowOfflineTxForUnknownId": "false",
    "AuthorizationCacheEnabled": "false",
    "AuthorizeRemoteTxRequests": "false",
    "LocalAuthListEnabled": "true",
    "LocalAuthorizeOffline": "true",
    "LocalPreAuthorize": "false",
    "StopTransactionOnInvalidId": "true",
}
_NUMBERS = {
    "ClockAlignedDataInterval": "0",
    "ConnectionTimeOut": "60",
    "HeartbeatInterval": "300",
    "MeterValueSampleInterval": "60",
    "TransactionMessageAttempts": "3",
    "TransactionMessageRetryInterval": "10",
}
_LISTS = {
    "MeterValuesAlignedData": "Energy.Active.Import.Register",
    "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,Current.Import,SoC",
    "StopTxnSampledData": "Energy.Active.Import.Register",
}


@dataclass(slots=True)
class Configuration:
    """Keys and values as text, with what may be changed and to what."""

    connectors: int
    values: dict[str, str] = field(default_factory=dict)
    read_only: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        fixed = _READ_ONLY | {"NumberOfConnectors": str(self.connectors)}
        self.read_only = frozenset(fixed)
        self.values = fixed | _BOOLEANS | _NUMBERS | _LISTS | self.values

    def number(self, key: str) -> float:
        """A number of seconds or times; fractions come only from the constructor's values."""
        return float(self.values[key])

    def is_on(self, key: str) -> bool:
        """A boolean key."""
        return self.values[key].lower() == "true"

    def items(self, key: str) -> list[str]:
        """A comma-separated key."""
        return [item.strip() for item in self.values[key].split(",") if item.strip()]

    def change(self, key: str, value: str) -> str:
        """Set one key; returns the ConfigurationStatus."""
        if key in self.read_only or (key in _LISTS and not self._are_measurands(value)):
            return "Rejected"
        if key in _BOOLEANS and value.lower() not in ("true", "false"):
            return "Rejected"
        if key in _NUMBERS and not (value.isascii() and value.isdigit() and len(value) < 10):
            return "Rejected"
        if key not in self.values:
            return "NotSupported"
        self.values[key] = value
        return "Accepted"

    @staticmethod
    def _are_measurands(value: str) -> bool:
        return all(item.strip() in MEASURANDS for item in value.split(",") if item.strip())
