"""Platform metrics, read from Azure Monitor.

Sources: Azure/azure-rest-api-specs ``specification/monitor/resource-manager/Microsoft.Insights/
stable/2023-10-01/metrics_API.json`` with its examples (a metric's own error comes with status
200); MicrosoftDocs/azure-monitor-docs ``articles/azure-monitor/metrics/rest-api-walkthrough.md``
(values of dimensions, empty series, throttling with status 529) and ``metrics/
data-platform-metrics.md`` (93 days kept, 30 at once, spelling in any case).
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from .arithmetic import DAY, HOUR, MINUTE, Span
from .azure import Api
from .problem import Problem
from .web import Reply

API_VERSION = "2023-10-01"
LONGEST_SECONDS = 30 * DAY
GRAINS = {MINUTE: "PT1M", HOUR: "PT1H"}
MOST_PAGES = 100


class Monitor:
    """Reads metrics of resources."""

    def __init__(self, api: Api, resource_manager: str) -> None:
        self._api = api
        self._resource_manager = resource_manager.rstrip("/")
        self._ahead = 0.0

    def now(self) -> float:
        """The time as Azure's newest answer says it: an instance's clock may be wrong."""
        return time.time() + self._ahead

    def values(
        self, resource: str, metric: str, aggregation: str, span: Span, step: int, chosen: str = ""
    ) -> list[tuple[int, Decimal | None]]:
        """Reads a metric's points.

        Args:
            resource: id of the resource.
            metric: name of the metric.
            aggregation: `Total` or `Average`.
            span: the time, 30 days at most.
            step: a minute or an hour.
            chosen: the filter on dimensions, empty for none.

        Returns:
            Time and value of each point of all series, None for a point without a value.

        Raises:
            Problem: Azure does not say.
        """
        query = {"interval": GRAINS[step], "aggregation": aggregation}
        series = self._series(resource, metric, span, chosen, query)
        try:
            return [
                (
                    int(datetime.fromisoformat(point["timeStamp"]).timestamp()),
                    None if (value := point.get(aggregation.lower())) is None else Decimal(value),
                )
                for each in series
                for point in each["data"]
            ]
        except (ValueError, ArithmeticError, KeyError, TypeError, AttributeError) as error:
            raise _unreadable(metric) from error

    def dimension_values(self, resource: str, metric: str, dimension: str, span: Span) -> list[str]:
        """Asks which values of a dimension there were.

        Args:
            resource: id of the resource.
            metric: name of the metric.
            dimension: name of the dimension.
            span: the time, 30 days at most.

        Raises:
            Problem: Azure does not say.
        """
        chosen = f"{dimension} eq '*'"
        series = self._series(resource, metric, span, chosen, {"resultType": "metadata"})
        try:
            return [
                str(found["value"])
                for each in series
                for found in each["metadatavalues"]
                if found["name"]["value"].lower() == dimension.lower()
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise _unreadable(metric) from error

    def _series(
        self, resource: str, metric: str, span: Span, chosen: str, query: dict[str, str]
    ) -> list[dict[str, Any]]:
        query = {"api-version": API_VERSION, "metricnames": metric, "timespan": str(span), **query}
        if chosen:
            query["$filter"] = chosen
        address = f"{self._resource_manager}{quote(resource)}/providers/Microsoft.Insights/metrics"
        url = f"{address}?{urlencode(query, quote_via=quote, safe='$/:')}"
        series: list[dict[str, Any]] = []
        for _ in range(MOST_PAGES):
            reply = self._api.request(url)
            self._set_clock(reply)
            try:
                values = json.loads(reply.body, parse_float=Decimal)
                (found,) = values["value"]
                code = found.get("errorCode") or "Success"
                series += found["timeseries"]
                url = values.get("nextLink")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise _unreadable(metric) from error
            if code != "Success":
                raise Problem(f"Azure Monitor has no {metric} now ({code}).")
            if not url:
                return series
            if urlsplit(url)[:2] != urlsplit(self._resource_manager)[:2]:
                # The token is for nobody else.
                break
        raise _unreadable(metric)

    def _set_clock(self, reply: Reply) -> None:
        try:
            date = parsedate_to_datetime(reply.headers["date"])
        except (KeyError, ValueError):
            return
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        self._ahead = date.timestamp() - time.time()


def _unreadable(metric: str) -> Problem:
    return Problem(f"Azure Monitor's answer for {metric} cannot be read.")
