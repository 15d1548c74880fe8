"""
The bank's tables. ``credits.services`` is the only module that writes them.

Every amount is in units of 10⁻⁷ (``credits.amounts``). Every rule that can be said
in SQL is said here too, so that the database refuses what the code should never ask.
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import ApiKey, Customer


class Currency(models.TextChoices):
    CREDITS = "credits"
    USDC = "usdc"
    TEST = "test", "test credits"


def currency_of(mode: str) -> str:
    """What a key of ``mode`` spends: test keys spend test credits, which nobody pays for and which buy nothing."""
    return Currency.TEST.value if mode == ApiKey.Mode.TEST else Currency.CREDITS.value


class Account(models.Model):
    """
    A customer's balance in one currency. Its row is the lock under which money moves.

    The sums here are caches of the entries and holds; ``manage.py check_ledger`` proves them.
    """

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="accounts")
    currency = models.CharField(max_length=10, choices=Currency, default=Currency.CREDITS)
    balance = models.BigIntegerField(default=0, help_text="Posted: the sum of all entries.")
    held = models.BigIntegerField(default=0, help_text="Promised to pending holds.")
    owed = models.BigIntegerField(default=0, help_text="Taken back but already spent; the next grants pay it first.")
    entry_count = models.BigIntegerField(default=0, help_text="The sequence number of the newest entry.")
    head = models.CharField(max_length=64, blank=True, help_text="The digest of the newest entry.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        permissions = [("adjust_account", "Can adjust the balance")]
        constraints = [
            models.UniqueConstraint(fields=["customer", "currency"], name="account_once_per_customer_and_currency"),
            models.CheckConstraint(condition=Q(held__gte=0), name="account_held_is_not_negative"),
            models.CheckConstraint(condition=Q(held__lte=F("balance")), name="account_is_never_overdrawn"),
            models.CheckConstraint(condition=Q(owed__gte=0), name="account_owed_is_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.customer}, {self.currency}"

    @property
    def available(self) -> int:
        """What a new hold may take, leaving aside grants that fell due since the account last moved."""
        return self.balance - self.held


class Grant(models.Model):
    """An immutable allocation into an account. What is left of it is its lot."""

    class Category(models.TextChoices):
        PURCHASE = "PURCHASE"
        PLAN = "PLAN"
        PROMOTION = "PROMOTION"
        ADJUSTMENT = "ADJUSTMENT"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="grants")
    category = models.CharField(max_length=10, choices=Category)
    amount = models.BigIntegerField()
    remaining = models.BigIntegerField(help_text="Not yet spent, expired or taken back.")
    held = models.BigIntegerField(default=0, help_text="The part of what remains that pending holds have drawn.")
    priority = models.PositiveSmallIntegerField(default=100, help_text="Lower numbers are spent first.")
    source = models.CharField(
        max_length=255, unique=True, help_text="What it was given for; the same source grants once."
    )
    effective_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    booked_at = models.DateTimeField(
        null=True, blank=True, help_text="When its entry was made; empty while it waits to take effect."
    )
    voided_at = models.DateTimeField(null=True, blank=True, help_text="Since when what nobody has spent of it is gone.")
    memo = models.CharField(max_length=500, blank=True)
    actor = models.CharField(max_length=100, help_text="Who gave it: user:…, key:…, system.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["account"], condition=Q(remaining__gt=0) | Q(booked_at=None), name="grant_lots_of_account"
            ),
            models.Index(fields=["effective_at"], condition=Q(booked_at=None), name="grant_waiting_by_effect"),
            models.Index(
                fields=["expires_at"],
                condition=Q(remaining__gt=0, expires_at__isnull=False),
                name="grant_lots_by_expiry",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="grant_gives_something"),
            models.CheckConstraint(
                condition=Q(remaining__gte=0, remaining__lte=F("amount")), name="grant_remaining_is_part_of_it"
            ),
            models.CheckConstraint(
                condition=Q(held__gte=0, held__lte=F("remaining")), name="grant_held_is_part_of_what_remains"
            ),
            models.CheckConstraint(
                condition=Q(booked_at__isnull=False) | Q(remaining=0), name="grant_waiting_gives_nothing_yet"
            ),
            models.CheckConstraint(
                condition=Q(expires_at=None) | Q(expires_at__gt=F("effective_at")),
                name="grant_expires_after_it_takes_effect",
            ),
        ]

    def __str__(self) -> str:
        return f"Grant {self.pk}: {self.source}"


class Reversal(models.Model):
    """
    A refund or dispute of what a grant was bought with: what of the grant is to be taken back.

    Its state follows the other side's object, named by ``key``; the entries that moved
    money for it name that key too, and stay.
    """

    class Kind(models.TextChoices):
        REFUND = "REFUND"
        DISPUTE = "DISPUTE"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="reversals")
    source = models.CharField(max_length=255, help_text="The source of the grant, which may arrive later than this.")
    grant = models.ForeignKey(Grant, on_delete=models.PROTECT, null=True, blank=True, related_name="reversals")
    key = models.CharField(max_length=255, unique=True, help_text="The other side's refund or dispute.")
    kind = models.CharField(max_length=7, choices=Kind)
    asked = models.BigIntegerField(help_text="What the other side says is reversed, all told.")
    taken = models.BigIntegerField(default=0, help_text="Taken back so far.")
    paid = models.BigIntegerField(default=0, help_text="The part of what was taken that other grants have paid.")
    lapsed = models.BigIntegerField(
        default=0, help_text="Had expired or was voided before it could be taken: gone unspent, so that nobody owes it."
    )
    owed = models.BigIntegerField(default=0, help_text="Spent before it could be taken; the next grants pay it first.")
    memo = models.CharField(max_length=500, blank=True)
    actor = models.CharField(max_length=100)
    as_of = models.DateTimeField(help_text="When the other side said so; older news is passed over.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["source"], name="reversal_by_source"),
            models.Index(fields=["account"], condition=Q(owed__gt=0), name="reversal_debts_of_account"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(asked__gte=0, taken__gte=0, paid__gte=0, lapsed__gte=0, owed__gte=0),
                name="reversal_amounts_are_not_negative",
            ),
            models.CheckConstraint(condition=Q(paid__lte=F("taken")), name="reversal_paid_is_part_of_what_is_taken"),
            models.CheckConstraint(
                condition=Q(taken__lte=F("asked") - F("owed") - F("lapsed")),
                name="reversal_takes_no_more_than_is_asked",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind.capitalize()} {self.key}"


class Hold(models.Model):
    """Credits set aside: the ceiling of what it settles. It resolves exactly once."""

    class Status(models.TextChoices):
        PENDING = "PENDING"
        SETTLED = "SETTLED"
        RELEASED = "RELEASED"
        EXPIRED = "EXPIRED"

    class Lapse(models.TextChoices):
        RELEASE = "RELEASE", "it is given back"
        RESOLVE = "RESOLVE", "the worker asks how it ended"

    id = models.UUIDField(primary_key=True, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="holds", db_index=False)
    # Many holds have no key, and none is not a key that could be taken.
    key = models.CharField(
        max_length=255,
        null=True,
        blank=True,
        help_text="The caller's idempotency key: the same key holds once per account. Empty where the id serves.",
    )
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children",
        help_text="The session hold that this one draws from.",
    )  # fmt: skip
    amount = models.BigIntegerField()
    lent = models.BigIntegerField(default=0, help_text="The part that holds drawn from this one hold or have settled.")
    settled = models.BigIntegerField(default=0)
    status = models.CharField(max_length=8, choices=Status, default=Status.PENDING)
    lapse = models.CharField(
        max_length=7, choices=Lapse, default=Lapse.RELEASE, help_text="What happens when its time is over."
    )
    reference = models.CharField(
        max_length=255,
        blank=True,
        help_text="The other side's id of what this pays for, such as the provider's generation.",
    )
    context = models.JSONField(
        default=dict, help_text="What the holder needs to resolve it without the process that held it."
    )
    expires_at = models.DateTimeField(help_text="Until when its process answers for it; later the worker resolves it.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(status="PENDING"), name="hold_pending_by_expiry"),
            models.Index(fields=["account", "created_at"], name="hold_of_account"),
        ]
        constraints = [
            # The holds of the gateway have no key, and cost nothing here.
            models.UniqueConstraint(
                fields=["account", "key"], condition=Q(key__isnull=False), name="hold_once_per_account_and_key"
            ),
            models.CheckConstraint(condition=Q(amount__gte=0), name="hold_amount_is_not_negative"),
            models.CheckConstraint(
                condition=Q(lent__gte=0, lent__lte=F("amount")), name="hold_lends_no_more_than_it_has"
            ),
            models.CheckConstraint(
                condition=Q(settled__gte=0, settled__lte=F("amount")), name="hold_is_the_ceiling_of_what_it_settles"
            ),
            models.CheckConstraint(
                condition=Q(status="PENDING", resolved_at=None, settled=0)
                | Q(status__in=["SETTLED", "EXPIRED"], resolved_at__isnull=False)
                | Q(status="RELEASED", resolved_at__isnull=False, settled=0),
                name="hold_resolves_once",
            ),
        ]

    def __str__(self) -> str:
        return f"Hold {self.pk}"


class Draw(models.Model):
    """The part of a grant that a hold has claimed."""

    # The unique constraint is the index.
    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, related_name="draws", db_index=False)
    grant = models.ForeignKey(Grant, on_delete=models.PROTECT, related_name="draws")
    amount = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hold", "grant"], name="draw_once_per_hold_and_grant"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="draw_is_not_negative"),
        ]

    def __str__(self) -> str:
        return f"Draw of {self.hold_id} on grant {self.grant_id}"


class LedgerEntry(models.Model):
    """
    One final movement on one grant; ``kind`` says why.

    Entries are numbered per account without gaps, carry the balance after them and
    the digest of all that came before, and cannot be changed or deleted: triggers
    on both databases refuse.
    """

    class Kind(models.TextChoices):
        GRANT = "GRANT"
        USAGE = "USAGE"
        EXPIRY = "EXPIRY"
        ADJUSTMENT = "ADJUSTMENT"
        VOID = "VOID"
        REFUND = "REFUND"
        DISPUTE = "DISPUTE"
        DEBT = "DEBT", "debt paid"
        REINSTATE = "REINSTATE", "reinstatement"

    # The unique constraints are the indexes of the account and of the hold; the grant's tells its entries in order.
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="entries", db_index=False)
    sequence = models.BigIntegerField(help_text="1 for the account's first entry.")
    grant = models.ForeignKey(Grant, on_delete=models.PROTECT, related_name="entries", db_index=False)
    hold = models.ForeignKey(
        Hold, on_delete=models.PROTECT, null=True, blank=True, related_name="entries", db_index=False
    )
    kind = models.CharField(max_length=10, choices=Kind)
    amount = models.BigIntegerField(help_text="Signed: what the balance changed by.")
    balance_after = models.BigIntegerField()
    reference = models.CharField(max_length=255, blank=True)
    memo = models.CharField(max_length=500, blank=True)
    actor = models.CharField(max_length=100)
    created_at = models.DateTimeField(editable=False)
    digest = models.CharField(max_length=64, editable=False)

    #: Kinds that put credits in; all others take them out.
    INCOMING: ClassVar[tuple[str, ...]] = (Kind.GRANT, Kind.REINSTATE)

    class Meta:
        verbose_name_plural = "ledger entries"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["created_at"], name="entry_by_time"),
            models.Index(fields=["grant", "sequence"], name="entry_of_grant"),
            # Nearly all entries are USAGE, and cost nothing here.
            models.Index(
                fields=["account", "kind", "sequence"], condition=~Q(kind="USAGE"), name="entry_other_than_usage"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["account", "sequence"], name="entry_numbered_once_per_account"),
            models.UniqueConstraint(fields=["grant"], condition=Q(kind="GRANT"), name="entry_grants_once"),
            models.UniqueConstraint(fields=["hold", "grant", "kind"], name="entry_settles_once_per_hold_and_grant"),
            models.UniqueConstraint(
                fields=["account", "reference", "kind", "grant"],
                condition=Q(kind__in=["GRANT", "ADJUSTMENT"]) & ~Q(reference=""),
                name="entry_counts_once_per_reference_and_grant",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["GRANT", "REINSTATE"], amount__gt=0)
                | (~Q(kind__in=["GRANT", "REINSTATE"]) & Q(amount__lt=0)),
                name="entry_sign_follows_kind",
            ),
            models.CheckConstraint(condition=Q(balance_after__gte=0), name="entry_leaves_no_debt"),
            models.CheckConstraint(
                condition=~Q(kind="USAGE") | Q(hold__isnull=False), name="entry_of_usage_names_its_hold"
            ),
        ]

    def __str__(self) -> str:
        return f"Entry {self.account_id}/{self.sequence}: {self.kind}"


class Seal(models.Model):
    """
    The end of a closed UTC day, for good: a digest over the newest entry of every account, and over the seal before.

    Whoever keeps a seal's digest elsewhere can prove later that no entry up to then was changed,
    not even by somebody who could change the whole database (``credits.seals``).
    """

    day = models.DateField(unique=True)
    accounts = models.BigIntegerField(help_text="How many accounts had entries.")
    entries = models.BigIntegerField(help_text="How many entries they had.")
    previous = models.CharField(
        max_length=64, blank=True, unique=True, help_text="The digest of the seal before; empty for the first."
    )
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-day"]

    def __str__(self) -> str:
        return f"Seal of {self.day}"


class DayTotal(models.Model):
    """
    What the entries of a sealed day add up to, by currency and kind: what a trial balance reads.

    Written in the transaction that seals the day; ``manage.py check_ledger`` proves it (``credits.trial_balance``).
    """

    day = models.DateField(help_text="UTC.")
    currency = models.CharField(max_length=10, choices=Currency)
    kind = models.CharField(max_length=10, choices=LedgerEntry.Kind)
    entries = models.BigIntegerField()
    amount = models.BigIntegerField(help_text="Signed, as the balances see it.")

    class Meta:
        ordering = ["-day", "currency", "kind"]
        constraints = [
            models.UniqueConstraint(fields=["currency", "day", "kind"], name="day_total_once_per_currency_and_kind"),
            models.CheckConstraint(condition=Q(entries__gt=0), name="day_total_is_of_some_entries"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.day} in {self.currency}"
