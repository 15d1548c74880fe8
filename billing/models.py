"""What things cost, and what was used."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import ApiKey, Customer
from credits.models import Currency, Hold

#: What a price may be in. Test credits are spent at the prices in credits.
PRICED_IN = [(currency.value, currency.label) for currency in (Currency.CREDITS, Currency.USDC)]


class Price(models.Model):
    """
    What a feature costs from an instant on, in one currency. Append-only: a new price is a new row.

    A feature may have a price in each currency; a call is paid whole from the first account that can (``admission``).
    """

    class Type(models.TextChoices):
        FIXED = "FIXED"
        METERED = "METERED"

    feature = models.CharField(max_length=50)
    currency = models.CharField(max_length=10, choices=PRICED_IN, default=Currency.CREDITS)
    type = models.CharField(max_length=7, choices=Type, default=Type.FIXED)
    amount = models.BigIntegerField(help_text="FIXED: units (10⁻⁷) for each unit of the feature.")
    effective_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["feature", "-effective_at", "-id"]
        indexes = [models.Index(fields=["feature", "currency", "-effective_at", "-id"], name="price_newest")]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=0), name="price_is_not_negative"),
        ]

    def __str__(self) -> str:
        return f"Price {self.pk} of {self.feature}"


class UsageRecord(models.Model):
    """
    One billable call: who, what, how much, what it cost us and what it cost them.

    Written once, in the transaction that resolves its hold.
    """

    class Status(models.TextChoices):
        COMPLETED = "COMPLETED", "completed"
        CANCELLED = "CANCELLED", "the client hung up"
        FAILED = "FAILED", "failed, not charged"
        UNKNOWN = "UNKNOWN", "never known, booked as our loss"

    # The database checks the hold, whose row names the customer, key and price; three more checks
    # a call would cost as much as writing the record (docs/performance.md).
    hold = models.OneToOneField(Hold, on_delete=models.PROTECT, related_name="usage")
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="usage", db_index=False, db_constraint=False
    )
    api_key = models.ForeignKey(
        ApiKey,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="usage",
        db_index=False,
        db_constraint=False,
    )
    request_id = models.CharField(max_length=128, blank=True)
    feature = models.CharField(max_length=50)
    quantity = models.PositiveIntegerField(default=1)
    price = models.ForeignKey(Price, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    status = models.CharField(max_length=9, choices=Status)
    error_code = models.CharField(max_length=50, blank=True)

    currency = models.CharField(
        max_length=10, choices=Currency, default=Currency.CREDITS, help_text="Of the account that paid."
    )
    held = models.BigIntegerField(help_text="Set aside before the call.")
    charged = models.BigIntegerField(help_text="What it cost the customer.")
    shortfall = models.BigIntegerField(default=0, help_text="Worth more than was held: our loss.")
    provider_cost = models.CharField(
        max_length=40, blank=True, help_text="US dollars, exactly as the provider reported them."
    )
    provider_cost_picos = models.BigIntegerField(
        null=True, blank=True, help_text="The same in 10⁻¹² US dollars, for sums."
    )

    provider = models.CharField(max_length=50)
    model = models.CharField(max_length=200, help_text="The model that answered, else the one asked for.")
    generation_id = models.CharField(max_length=255, blank=True)
    prompt_tokens = models.BigIntegerField(null=True, blank=True)
    completion_tokens = models.BigIntegerField(null=True, blank=True)
    cached_tokens = models.BigIntegerField(null=True, blank=True)
    reasoning_tokens = models.BigIntegerField(null=True, blank=True)
    streamed = models.BooleanField(default=False)
    latency_ms = models.PositiveIntegerField(null=True, blank=True, help_text="From the request to the last byte.")
    first_token_ms = models.PositiveIntegerField(
        null=True, blank=True, help_text="From the request to the first byte of the answer."
    )
    created_at = models.DateTimeField(help_text="When the call was admitted.")
    day = models.DateField(help_text="The same as a day where the customer was then; what it is summed up under.")

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # What follows the id is there to be filtered by, without a look at the row.
            models.Index(
                fields=["customer", "-created_at", "-id", "status", "feature", "model", "api_key", "currency"],
                name="usage_of_customer",
            ),
            models.Index(fields=["api_key", "-created_at", "-id"], name="usage_of_api_key"),
            models.Index(fields=["created_at"], name="usage_by_time"),
            models.Index(fields=["generation_id"], condition=~Q(generation_id=""), name="usage_by_generation"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(charged__gte=0, shortfall__gte=0), name="usage_is_not_negative"),
            models.CheckConstraint(
                condition=~Q(status__in=["FAILED", "UNKNOWN"]) | Q(charged=0), name="usage_that_failed_is_free"
            ),
        ]

    def __str__(self) -> str:
        return f"Usage {self.pk}: {self.feature}"

    @property
    def credits_charged(self) -> int:
        """For those who read credits alone: what it cost of them, nothing if it was paid in USDC."""
        return 0 if self.currency == Currency.USDC else self.charged


class UsageDay(models.Model):
    """
    What a customer used in a day, by currency, feature, model and key: the sums of its usage records.

    Added to in the transaction that writes the record, and kept when that is erased. Only ``billing.days`` writes it.
    """

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="usage_days", db_index=False, db_constraint=False
    )
    day = models.DateField(help_text="Where the customer was when the call was admitted.")
    currency = models.CharField(max_length=10, choices=Currency, default=Currency.CREDITS)
    feature = models.CharField(max_length=50)
    model = models.CharField(max_length=200)
    # Not a reference: of two rows without a key, a unique constraint would see no second.
    key_id = models.BigIntegerField(help_text="The API key; 0 where the person called themselves.")

    calls = models.BigIntegerField()
    failed_calls = models.BigIntegerField(help_text="Of the calls: failed or never known, and free.")
    erased_calls = models.BigIntegerField(help_text="Of the calls: those whose records have been erased.")
    charged = models.BigIntegerField()
    provider_cost_picos = models.BigIntegerField(help_text="10⁻¹² US dollars.")
    prompt_tokens = models.BigIntegerField()
    completion_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()

    class Meta:
        ordering = ["-day", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "day", "currency", "feature", "model", "key_id"],
                name="usage_day_once_per_what_is_summed_up",
            ),
            models.CheckConstraint(
                condition=Q(failed_calls__range=(0, F("calls")), erased_calls__gte=0), name="usage_day_counts_its_calls"
            ),
        ]

    def __str__(self) -> str:
        return f"Usage of {self.day}: {self.feature}"
