"""A subset of the Detectron2 0.6 API, for machines without the official package.

Independent implementation: same module paths, names, signatures, configuration keys, state-dict
keys and arithmetic. What is left out raises an error that names the official install.
"""

from ._subset import refuse_modules_outside_the_subset
from .utils.env import setup_environment

refuse_modules_outside_the_subset()
setup_environment()

# The official release says "0.6" too; the installed distribution is "0.6+embedded".
__version__ = "0.6"
