"""Quotas: alerts, their log and receivers, the workbook and the budget."""

from .quota_alerts import QuotaAlerts, QuotaAlertsArgs

__all__ = ["QuotaAlerts", "QuotaAlertsArgs"]
