"""Dates as a ledger writes them: sortable, to the second, in the time zone of the settings (UTC)."""

DATE_FORMAT = SHORT_DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = SHORT_DATETIME_FORMAT = "Y-m-d H:i:s"
MONTH_DAY_FORMAT = "d F"
YEAR_MONTH_FORMAT = "F Y"
