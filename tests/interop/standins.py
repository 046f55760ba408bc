# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for packages that a program imports, and that what is tested of it never calls: servers, and kernels of
a GPU."""

import importlib.abc
import importlib.machinery
import sys
import types


class _Type(type):
    """A class whose attributes are such classes too."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Type(name, (Anything,), {})


class Anything(metaclass=_Type):
    """Can be called, subclassed, subscripted, used as a decorator and as an annotation."""

    def __init__(self, *arguments, **named):
        pass

    def __init_subclass__(cls, **named):
        pass

    def __call__(self, *arguments, **named):
        return self

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()

    def __class_getitem__(cls, item):
        return cls

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        from pydantic_core import core_schema
        return core_schema.any_schema()


class _Module(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Type(name, (Anything,), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if any(name == each or name.startswith(each + ".") for each in self.names):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Module(spec.name)

    def exec_module(self, module):
        pass


def install(*names):
    """From now on these packages, and all in them, are stand-ins. Import first what must see that they are absent."""
    sys.meta_path.insert(0, _Finder(names))
