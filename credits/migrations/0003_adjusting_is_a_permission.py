from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("credits", "0002_entries_are_final")]
    operations = [
        migrations.AlterModelOptions(name="account", options={"permissions": [("adjust_account", "Can adjust the balance")]}),
    ]
