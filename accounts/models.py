"""Who: people, the customers that pay, and the keys that speak for them."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone

from accounts import zones
from accounts.limits import Limited, budget_of, limits_of


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str | None = None, password: str | None = None, **fields: Any) -> "User":
        """
        Create a user together with the personal customer that every user has.

        Without a password the user can sign in by token only.
        """
        user = self.model(email=self.normalize_email(email).lower() or None, **fields)
        user.set_password(password)
        with transaction.atomic():
            user.save(using=self._db)
            Customer.objects.create_personal(user)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in: by e-mail and password, or by a token of an identity provider."""

    email = models.EmailField(unique=True, null=True, blank=True)
    name = models.CharField(max_length=200, blank=True)
    external_id = models.CharField(
        max_length=255,
        unique=True,
        null=True,
        blank=True,
        help_text="The identity provider's id, such as Clerk's user_…",
    )
    is_active = models.BooleanField(default=True, help_text="An inactive user can do nothing, with any credential.")
    is_staff = models.BooleanField(default=False, help_text="May open the admin.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    external_updated_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Of the identity provider's news that name and e-mail are from.",
    )
    deleted_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Set when the identity provider says that the user is gone."
    )

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(email=None) | Q(email=Lower("email")), name="user_email_is_lower_case"),
        ]

    def __str__(self) -> str:
        return self.email or self.external_id or f"user {self.pk}"


class CustomerManager(models.Manager["Customer"]):
    def create_personal(self, user: User) -> "Customer":
        customer = self.create(kind=Customer.Kind.PERSONAL, user=user, name=user.name or str(user))
        Membership.objects.create(customer=customer, user=user, role=Membership.Role.OWNER)
        return customer


class Customer(Limited):
    """Who pays: a person or a team. Owns accounts, keys and usage."""

    class Kind(models.TextChoices):
        PERSONAL = "PERSONAL"
        TEAM = "TEAM"

    kind = models.CharField(max_length=10, choices=Kind)
    name = models.CharField(max_length=200)
    user = models.OneToOneField(
        User,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="personal_customer",
        help_text="Whose personal customer this is; empty for a team.",
    )
    members = models.ManyToManyField(User, through="Membership", related_name="customers")
    external_id = models.CharField(
        max_length=255,
        unique=True,
        null=True,
        blank=True,
        help_text="The identity provider's id of the team, such as Clerk's org_…",
    )
    time_zone = models.CharField(
        max_length=64, choices=zones.choices, default=zones.UTC, help_text="Where the days of its usage begin."
    )
    allowed_models = models.TextField(
        blank=True,
        default="",
        help_text="Patterns such as openai/*, with a space between them, of what all its keys may call; empty for all.",
    )
    limits_are_fixed = models.BooleanField(
        default=False, db_default=False, help_text="Only administrators change its limits; it cannot lift them itself."
    )
    end_user_budget = models.BigIntegerField(
        null=True, blank=True, help_text="Units (10⁻⁷) that each of its end users may spend in each period."
    )
    end_user_budget_period = models.CharField(max_length=5, choices=Limited.Period, blank=True, default="")
    end_users_limited_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Since when that is so, if any end user was ever limited."
    )
    suspended_at = models.DateTimeField(null=True, blank=True, help_text="Set while the customer may spend nothing.")
    suspended_by = models.CharField(max_length=100, blank=True, editable=False, help_text="user:…, or system.")
    suspended_reason = models.CharField(max_length=200, blank=True)
    closed_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Set when the team was given up; its books stay."
    )
    external_updated_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Of the identity provider's news that a team's name is from."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[CustomerManager] = CustomerManager()

    class Meta:
        constraints = [
            *limits_of("customer"),
            budget_of("customer_end_user", "end_user_budget"),
            models.CheckConstraint(
                condition=Q(kind="PERSONAL", user__isnull=False) | Q(kind="TEAM", user__isnull=True),
                name="customer_is_one_persons_or_a_teams",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """What a user may do for a customer."""

    class Role(models.TextChoices):
        OWNER = "OWNER"
        ADMIN = "ADMIN"
        MEMBER = "MEMBER"
        BILLING = "BILLING"
        READ_ONLY = "READ_ONLY"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role)
    external_id = models.CharField(
        max_length=255, blank=True, default="", editable=False, help_text="The identity provider's, such as orgmem_…"
    )
    external_role = models.CharField(
        max_length=50, blank=True, default="", editable=False, help_text="The identity provider's word for the role."
    )
    external_updated_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Of the identity provider's news that the role is from."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "user"], name="membership_once_per_customer_and_user"),
            models.UniqueConstraint(
                fields=["customer"], condition=Q(role="OWNER"), name="membership_of_one_owner_per_customer"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}, {self.role} of {self.customer}"


class FormerMembership(models.Model):
    """
    That the identity provider has ended a membership, so that older news about it, and older tokens, bring nobody back.
    """

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    external_id = models.CharField(max_length=255, blank=True, default="", help_text="Of the last one that ended.")
    ended_at = models.DateTimeField()

    class Meta:
        constraints = [
            # The constraint is the index of the customer.
            models.UniqueConstraint(fields=["customer", "user"], name="former_membership_once_per_customer_and_user"),
        ]

    def __str__(self) -> str:
        return f"{self.user}, no longer of {self.customer}"


class Invitation(models.Model):
    """A team asks somebody to join, by e-mail. It ends once: accepted, declined or revoked, or with its time."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(help_text="In lower case. Only who has this address, verified, may accept.")
    role = models.CharField(max_length=10, choices=Membership.Role)
    digest = models.CharField(max_length=64, unique=True, editable=False, help_text="Of the token that was sent.")
    invited_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True, editable=False)
    declined_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    #: Neither accepted, declined nor revoked; its time may be over all the same.
    OPEN: ClassVar[Q] = Q(accepted_at=None, declined_at=None, revoked_at=None)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "email"],
                condition=Q(accepted_at=None, declined_at=None, revoked_at=None),
                name="invitation_open_once_per_customer_and_address",
            ),
            models.CheckConstraint(condition=~Q(role="OWNER"), name="invitation_makes_no_owner"),
        ]

    def __str__(self) -> str:
        return f"Invitation {self.pk} to {self.customer}"


class SignUpInvitation(models.Model):
    """An administrator asks somebody to sign up, by e-mail. It is accepted as soon as a user has the address."""

    email = models.EmailField(help_text="In lower case.")
    name = models.CharField(max_length=200, blank=True)
    invited_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["email"], condition=Q(revoked_at=None), name="sign_up_invitation_open_once_per_address"
            ),
        ]

    def __str__(self) -> str:
        return f"Invitation {self.pk} to sign up"


class ApiKey(Limited):
    """A customer's credential. Its text is shown once; the database keeps a digest (see ``accounts.keys``)."""

    class Mode(models.TextChoices):
        LIVE = "live"
        TEST = "test"

    class Scope(models.TextChoices):
        AI = "ai", "call models"
        READ = "read", "read balances, usage and keys"
        MANAGE = "manage", "create and revoke keys"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="api_keys")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    name = models.CharField(max_length=100)
    mode = models.CharField(max_length=4, choices=Mode, default=Mode.LIVE)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    last_four = models.CharField(max_length=4, editable=False)
    scopes = models.CharField(max_length=100, default="ai read", help_text="Words with a space between them.")
    allowed_models = models.TextField(
        blank=True, default="", help_text="Patterns such as openai/*, with a space between them; empty for all."
    )
    allowed_features = models.TextField(
        blank=True, default="", help_text="Such as ai_text_chat, with a space between them; empty for all."
    )
    allowed_addresses = models.TextField(
        blank=True, default="", help_text="Networks such as 10.0.0.0/8, with a space between them; empty for all."
    )
    metadata = models.JSONField(default=dict, blank=True, help_text="The customer's own notes, as names and texts.")
    cache_seconds = models.PositiveIntegerField(
        default=0, db_default=0, help_text="For how long answers are given again to the very same request; 0 for never."
    )
    replaced_by = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, editable=False, related_name="replaces"
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=100, blank=True, editable=False, help_text="user:…, key:…, or system.")
    leaked_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When it was found in public.")
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="Written at most once a minute.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "API key"
        verbose_name_plural = "API keys"
        ordering = ["-id"]
        constraints = [
            *limits_of("api_key"),
            models.CheckConstraint(
                condition=Q(expires_at=None) | Q(expires_at__gt=F("created_at")),
                name="api_key_expires_after_it_was_made",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.masked})"

    @property
    def masked(self) -> str:
        return f"ppd_{self.mode}_…{self.last_four}"


class AuditEntry(models.Model):
    """Who did what to a customer's people and keys, or to the installation. Written with the change, never changed."""

    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="audit_entries",
        db_index=False,
        help_text="Empty: it concerns all.",
    )
    actor = models.CharField(max_length=100, help_text="user:…, key:…, system.")
    action = models.CharField(max_length=50, help_text="Such as key.revoked.")
    subject = models.CharField(max_length=100, help_text="What it was done to, such as key:7.")
    details = models.JSONField(default=dict, help_text="What changed, without secrets and addresses.")
    created_at = models.DateTimeField(editable=False)

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        indexes = [models.Index(fields=["customer", "-id"], name="audit_entry_of_customer")]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"


class FailedSignIns(models.Model):
    """How many failed sign-ins an account or an address has used up. Neither can be read from it."""

    bucket = models.CharField(max_length=64, primary_key=True, help_text="A digest of whom it counts for.")
    full_at = models.DateTimeField(db_index=True, help_text="When all of them are forgotten.")

    def __str__(self) -> str:
        return self.bucket


class IdempotentRequest(models.Model):
    """The answer to a request that had an effect, to be given again to whoever sends the request again."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=255, help_text="The caller's Idempotency-Key, without quotes.")
    method = models.CharField(max_length=10)
    path = models.TextField()
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    status = models.PositiveSmallIntegerField()
    body = models.TextField(blank=True, help_text="The answer's JSON as text, so that it stays the same to the byte.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="idempotent_request_by_time")]
        constraints = [
            # The constraint is the index of the customer.
            models.UniqueConstraint(fields=["customer", "key"], name="idempotent_request_once_per_key"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path} as {self.key}"
