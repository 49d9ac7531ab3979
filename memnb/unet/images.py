r"""Chapter 6: images to train on, synthetic ones whose law is known and handwritten digits.

Images are tensors (n, 1, S, S) with values in [0, 1]. The network sees them as :math:`2x - 1`.

References
----------
Synthetic images: P2 (*On the Onset of Memorization to Generalization Transition in
Diffusion Models*, ICLR 2025 submission), Section 4. Digits: E. Alpaydin and C. Kaynak, *Optical
Recognition of Handwritten Digits*, UCI Machine Learning Repository 1998, doi:10.24432/C50P49, as
bundled with scikit-learn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from memnb.streams import stream
from memnb.validation import check_integer, check_real

__all__ = [
    "HELD_OUT",
    "MEAN",
    "STD",
    "Digits",
    "ImagesLike",
    "check_images",
    "digits",
    "synthetic_images",
]

ImagesLike = torch.Tensor | np.ndarray | Sequence
MEAN, STD = 0.5, 0.1
HELD_OUT = 297


def check_images(
    name: str, x: ImagesLike, image_size: int | None = None, *, bounded: bool = True
) -> torch.Tensor:
    """Return x as a tensor if it is images, n >= 1 of them, with values in [0, 1]; or raise.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    x : Tensor, array or nested lists of floats, shape (n, 1, S, S)
        Of any floating-point dtype, which is that of the result. Integers are refused: whether 1 or
        255 is white, they do not say.
    image_size : int, optional
        The side S that is asked for.
    bounded : bool
        If false values need only be finite: what a network generated can lie outside [0, 1].

    Returns
    -------
    Tensor, shape (n, 1, S, S)

    Raises
    ------
    TypeError
        If x is nothing of that kind, or not of floating-point numbers.
    ValueError
        If the shape or a value is not allowed.

    Examples
    --------
    >>> check_images("x", [[[[0.0, 0.5], [0.25, 1.0]]]]).shape
    torch.Size([1, 1, 2, 2])
    """
    x = _tensor(name, x)
    if not x.is_floating_point():
        raise TypeError(f"{name} must be of floating-point numbers, got {x.dtype}")
    side = "S" if image_size is None else image_size
    fits = x.ndim == 4 and x.shape[1] == 1 and x.shape[2] == x.shape[3] and x.numel()
    if not fits or (image_size is not None and x.shape[2] != image_size):
        raise ValueError(
            f"{name} must have shape (n, 1, {side}, {side}) with n >= 1, got {tuple(x.shape)}"
        )
    if not x.isfinite().all():
        raise ValueError(f"{name} must have finite values")
    if bounded and not ((x >= 0) & (x <= 1)).all():
        raise ValueError(
            f"{name} must have values in [0, 1], got {x.min().item():g} to {x.max().item():g}"
        )
    return x


def _tensor(name: str, x: ImagesLike) -> torch.Tensor:
    """A tensor as it is, and an array or nested lists as the tensor of the same numbers."""
    if isinstance(x, torch.Tensor):
        return x
    if isinstance(x, np.ndarray | list | tuple):
        try:
            return torch.from_numpy(np.array(x))
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name} must be an array of numbers, got {str(error)!r}") from error
    raise TypeError(f"{name} must be a tensor, an array or lists, got {type(x).__name__}")


def synthetic_images(
    n_images: int,
    image_size: int,
    seed: int,
    mean: float = MEAN,
    std: float = STD,
    purpose: str = "synthetic images",
) -> torch.Tensor:
    r"""Images whose pixels are independent, :math:`\mathcal{N}(\mu, \sigma^2)`.

    Parameters
    ----------
    n_images : int
        n, at least 1.
    image_size : int
        Side S; the dimension is :math:`d = S^2`.
    seed : int
        Seed.
    mean, std : float
        :math:`\mu` and :math:`\sigma`. Values outside [0, 1] are set to its ends; with the paper's
        0.5 and 0.1 these are six pixels in ten million.
    purpose : str
        Name of the stream, see :mod:`memnb.streams`.

    Returns
    -------
    Tensor of float32, shape (n, 1, S, S)

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong type or out of its range.
    """
    check_integer("n_images", n_images, 1)
    check_integer("image_size", image_size, 1)
    check_real("mean", mean, 0, 1)
    check_real("std", std, 0, 1, open_low=True)
    generator = stream(seed, purpose)
    z = torch.randn(n_images, 1, image_size, image_size, generator=generator)
    return (mean + std * z).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class Digits:
    """Handwritten digits, divided into training images and held-out ones.

    Parameters
    ----------
    train : Tensor of float32, shape (1500, 1, 8, 8)
        In a random order that the seed decides.
    held_out : Tensor of float32, shape (297, 1, 8, 8)
        Never trained on.
    train_labels, held_out_labels : Tensor of int64
        Which digits they are; no model sees them.
    """

    train: torch.Tensor
    held_out: torch.Tensor
    train_labels: torch.Tensor
    held_out_labels: torch.Tensor

    def subset(self, n_images: int, half: int = 0) -> torch.Tensor:
        """Training images: the first n of the first (``half=0``) or the second half.

        The two halves share no image, and within a half a smaller set is part of a larger one.
        Only the first can be extended beyond 750 images, into the second.

        Parameters
        ----------
        n_images : int
            n, 1 to 750; for ``half=0`` to 1500.
        half : {0, 1}

        Returns
        -------
        Tensor of float32, shape (n, 1, 8, 8)

        Raises
        ------
        ValueError
            If there are not as many images.
        """
        check_integer("half", half, 0, 1)
        middle = len(self.train) // 2
        available = len(self.train) - half * middle if half == 0 else middle
        check_integer("n_images", n_images, 1)
        if n_images > available:
            raise ValueError(
                f"n_images must be at most {available}, the number of digits in half {half}, "
                f"got {n_images}"
            )
        first = half * middle
        return self.train[first : first + n_images]


def digits(seed: int = 0) -> Digits:
    """Load scikit-learn's 1797 digits of 8 by 8 pixels, values 0 to 16 scaled to [0, 1].

    Parameters
    ----------
    seed : int
        Seed of the order in which they are divided.

    Returns
    -------
    Digits
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = torch.from_numpy(bunch.images).float().div(16)[:, None]
    labels = torch.from_numpy(bunch.target).long()
    order = torch.randperm(len(pixels), generator=stream(seed, "split of digits"))
    out, rest = order[:HELD_OUT], order[HELD_OUT:]
    return Digits(pixels[rest], pixels[out], labels[rest], labels[out])
