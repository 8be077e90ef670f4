"""What lives behind Prefect's API alone, as a folder of JSON, and from there back again.

One kind of object is one module: to add a kind, copy the one that is most like it and add it to
``RESOURCES`` in ``kinds``.
"""

from backup.objects.api import Api
from backup.objects.export import ObjectsSource, export_objects, verify
from backup.objects.restore import Restored, Step, restore_objects

__all__ = [
    "Api",
    "ObjectsSource",
    "Restored",
    "Step",
    "export_objects",
    "restore_objects",
    "verify",
]
