"""What things cost, and what was used."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.limits import Limited, budget_of
from accounts.models import ApiKey, Customer
from credits.models import Currency, Hold

#: What a price may be in. Test credits are spent at the prices in credits.
PRICED_IN = [(currency.value, currency.label) for currency in (Currency.CREDITS, Currency.USDC)]

#: Bounds of a price: 100,000 credits for a dollar, a thousand times the cost, a thousand dollars a unit.
MOST_RATE, MOST_MARKUP, MOST_COST_PICOS = 10**12, 10**9, 10**15


class ListedModel(models.Model):
    """
    A model of the provider's catalogue, as it was listed when that was last read.

    ``manage.py refresh_catalogue`` writes it. One that is listed no more stays, without ``is_listed``.
    """

    id = models.CharField(primary_key=True, max_length=200, help_text="As the provider names it.")
    entry = models.JSONField(help_text="What the provider says of it.")
    rates = models.TextField(help_text="Of the entry, what prices are computed from: JSON (billing.rates).")
    is_listed = models.BooleanField(default=True)
    position = models.PositiveIntegerField(default=0, help_text="Its place in the provider's list.")
    refreshed_at = models.DateTimeField(help_text="When it was last seen there.")

    class Meta:
        verbose_name = "model"
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.id


class Price(models.Model):
    """
    What a feature costs from an instant on, in one currency. Append-only: a new price is a new row.

    A feature may have a price in each currency; a call is paid whole from the first account that can
    (``billing.admission``). Which of several prices is a call's, ``billing.prices`` says.
    """

    class Type(models.TextChoices):
        FIXED = "FIXED", "fixed"
        METERED = "METERED", "metered"
        WITHDRAWN = "WITHDRAWN", "withdrawn"

    feature = models.CharField(max_length=50)
    currency = models.CharField(max_length=10, choices=PRICED_IN, default=Currency.CREDITS)
    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="prices",
        db_index=False,
        help_text="Whose price it is; empty for everybody's.",
    )
    pattern = models.CharField(
        max_length=200, default="*", help_text="A model, or a pattern such as anthropic/*; * is every model."
    )
    type = models.CharField(max_length=9, choices=Type, default=Type.FIXED)
    amount = models.BigIntegerField(
        help_text="Units (10⁻⁷). FIXED: for each unit of the feature. METERED: what a call costs at the least."
    )
    rate = models.BigIntegerField(null=True, blank=True, help_text="METERED: units for a US dollar.")
    markup = models.BigIntegerField(
        null=True, blank=True, help_text="METERED: millionths that the provider's cost is multiplied by."
    )
    most_cost_picos = models.BigIntegerField(
        null=True, blank=True, help_text="FIXED: 10⁻¹² US dollars that a unit may cost us at most."
    )
    actor = models.CharField(max_length=100, default="system", help_text="Who published it: user:…, system.")
    effective_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["feature", "-effective_at", "-id"]
        indexes = [
            models.Index(
                fields=["customer", "feature", "currency", "pattern", "-effective_at", "-id"], name="price_newest"
            )
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=0), name="price_is_not_negative"),
            models.CheckConstraint(
                condition=Q(type="FIXED", rate=None, markup=None)
                & (Q(most_cost_picos=None) | Q(most_cost_picos__range=(1, MOST_COST_PICOS)))
                | Q(
                    type="METERED",
                    rate__isnull=False,  # what is unknown would pass: a check refuses only what is false
                    markup__isnull=False,
                    rate__range=(1, MOST_RATE),
                    markup__range=(1, MOST_MARKUP),
                    most_cost_picos=None,
                )
                | Q(type="WITHDRAWN", amount=0, rate=None, markup=None, most_cost_picos=None),
                name="price_says_what_its_type_needs",
            ),
        ]

    def __str__(self) -> str:
        return f"Price {self.pk} of {self.feature}"


class Plan(models.Model):
    """
    What can be subscribed to: its price, and what it gives in each period. Clerk's, or one that is sold by hand.

    What it gives counts for the periods that begin from then on; what was given stays.
    """

    class Source(models.TextChoices):
        CLERK = "clerk", "Clerk"
        MANUAL = "manual", "by hand"

    class Action(models.TextChoices):
        CHECKOUT = "checkout"
        CONTACT = "contact"

    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=100, unique=True, help_text="Its name in sources and addresses.")
    clerk_id = models.CharField(max_length=255, unique=True, null=True, blank=True, help_text="Such as cplan_…")
    clerk_name = models.CharField(max_length=200, blank=True)
    billing_source = models.CharField(max_length=6, choices=Source, default=Source.CLERK)
    credits = models.BigIntegerField(default=0, help_text="Units (10⁻⁷) that it gives in each period.")
    currency = models.CharField(max_length=3, blank=True, help_text="Of its prices, such as usd.")
    price_monthly_cents = models.BigIntegerField(null=True, blank=True)
    price_yearly_cents = models.BigIntegerField(null=True, blank=True)
    is_active = models.BooleanField(default=True, help_text="Whether it is offered.")
    position = models.PositiveIntegerField(default=0, help_text="Its place among the others: the lowest comes first.")
    description = models.TextField(blank=True)
    features = models.JSONField(default=list, blank=True, help_text="A list of {name, description, included}.")
    badge = models.CharField(max_length=50, blank=True)
    is_highlighted = models.BooleanField(default=False)
    cta_type = models.CharField(max_length=8, choices=Action, default=Action.CHECKOUT)
    cta_label = models.CharField(max_length=100, blank=True)
    cta_url = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["position", "credits", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(credits__gte=0), name="plan_takes_no_credits"),
            models.CheckConstraint(
                condition=(Q(price_monthly_cents=None) | Q(price_monthly_cents__gte=0))
                & (Q(price_yearly_cents=None) | Q(price_yearly_cents__gte=0)),
                name="plan_costs_nothing_or_more",
            ),
            models.CheckConstraint(
                condition=Q(billing_source="manual", cta_type="contact")
                | Q(billing_source="clerk", clerk_id__isnull=False),
                name="plan_of_clerk_has_its_id_and_others_are_asked_for",
            ),
        ]

    def __str__(self) -> str:
        return self.name


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

    cost_report = models.CharField(
        max_length=12,
        blank=True,
        help_text="What the provider said of its cost; only REPORTED is one. Metered prices are estimated otherwise.",
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
    attempts = models.JSONField(
        null=True,
        blank=True,
        help_text="Where there were several, or several keys: the key, outcome, ms and generation of each.",
    )
    end_user = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="The customer's name for who was behind it."
    )
    notes = models.JSONField(null=True, blank=True, help_text="The customer's notes, texts by names.")

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
            # Whoever names no end users pays nothing for it.
            models.Index(
                fields=["customer", "end_user", "-created_at", "-id"],
                condition=~Q(end_user=""),
                name="usage_of_end_user",
            ),
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


class EndUser(models.Model):
    """
    Somebody whom a customer serves, with a budget of their own instead of the customer's for each of its end users.

    Whoever has none needs no row: an end user is there when a call names them.
    """

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=200, help_text="As the customer's calls name them.")
    budget = models.BigIntegerField(null=True, blank=True, help_text="Units (10⁻⁷) in each period; empty: no limit.")
    budget_period = models.CharField(max_length=5, choices=Limited.Period, blank=True, default="")
    limited_at = models.DateTimeField(help_text="Since when that is so.")

    class Meta:
        constraints = [
            # The constraint is the index of the customer.
            models.UniqueConstraint(fields=["customer", "name"], name="end_user_once_per_customer"),
            budget_of("end_user", "budget"),
        ]

    def __str__(self) -> str:
        return f"End user {self.pk} of customer {self.customer_id}"


class Counter(models.Model):
    """
    What a key, a customer or an end user has used of the limits that it has. Made when the first call is counted.

    Its row is locked after the accounts' in the batch that admits or concludes a call (``billing.counters``), so that
    limits are exact however many processes there are. Whoever has no limits has no row, and costs nothing.
    """

    subject = models.CharField(max_length=300, unique=True, help_text="key:7, customer:9, customer:9/user:….")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+", db_index=False)
    # Not a reference, as in UsageDay.
    key_id = models.BigIntegerField(null=True)
    end_user = models.CharField(max_length=200, blank=True)
    currency = models.CharField(max_length=10, choices=Currency, help_text="What its budget is in.")

    requests_level = models.BigIntegerField(default=0, help_text="Requests of the bucket, times microseconds.")
    tokens_level = models.BigIntegerField(default=0, help_text="Tokens of the bucket, times microseconds.")
    leaked_at = models.DateTimeField(help_text="When the buckets were at these levels.")
    open_calls = models.BigIntegerField(default=0, help_text="Admitted and not concluded.")
    period_start = models.DateField(null=True, help_text="The first day that spent and held are of.")
    spent = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    limited_at = models.DateTimeField(null=True, help_text="Of the limits that it was counted under.")
    is_complete = models.BooleanField(
        default=False, help_text="Every call that runs is counted; else they are counted anew in each batch."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(requests_level__gte=0, tokens_level__gte=0, open_calls__gte=0, spent__gte=0, held__gte=0),
                name="counter_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"Counter of {self.subject}"
