"""URLs as files: http and https by urllib3, s3 and whatever else fsspec has a file system for by that."""

from __future__ import annotations

from typing import IO, Any

from rov.errors import ExtraError


def is_url(name: str) -> bool:
    """Whether a name is a URL rather than a path.

    >>> is_url("https://rpki.example/vrps.json"), is_url("./vrps.json")
    (True, False)
    """
    return "://" in name


def open_url(url: str) -> IO[bytes]:
    """What a URL leads to, to be read once; ``size``: how many octets, where that is known.

    ExtraError: fsspec is not installed, for what is not http. OSError: it cannot be opened.

    >>> open_url("nonsense://rpki.example")
    Traceback (most recent call last):
    OSError: Protocol not known: nonsense
    """
    if url.startswith(("http://", "https://")):
        # only now: urllib3 takes half as long to import as numpy, and most files are no URLs
        from rov._http import Body

        return Body(url)  # type: ignore[return-value]  # all of IO that anyone needs
    fsspec = file_systems()
    try:
        file: IO[bytes] = fsspec.open(url, "rb").open()
    except OSError:
        raise
    # fsspec's backends raise errors of their own
    except Exception as error:
        raise OSError(str(error)) from error
    return file


def file_systems() -> Any:
    """The package fsspec; ExtraError if it is not installed.

    >>> file_systems().get_filesystem_class("file").__name__
    'LocalFileSystem'
    """
    try:
        import fsspec  # type: ignore[import-untyped]
    except ImportError as error:
        raise ExtraError("a URL that is not http needs fsspec: pip install 'rovkit[url]'") from error
    return fsspec
