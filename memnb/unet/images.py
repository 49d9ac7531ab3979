r"""Images to train a diffusion model on: synthetic ones whose law is known, and handwritten digits.

Images are tensors (n, 1, S, S) with values in [0, 1]. The network sees them as :math:`2x - 1`.

References
----------
Synthetic images: P2 (*On the Onset of Memorization to Generalization Transition in
Diffusion Models*, ICLR 2025 submission), Section 4. Digits: E. Alpaydin and C. Kaynak, *Optical
Recognition of Handwritten Digits*, UCI Machine Learning Repository 1998, doi:10.24432/C50P49, as
bundled with scikit-learn.
"""

from dataclasses import dataclass

import torch

from memnb.validation import check_integer, check_real

__all__ = ["HELD_OUT", "MEAN", "STD", "Digits", "check_images", "digits", "synthetic_images"]

MEAN, STD = 0.5, 0.1
HELD_OUT = 297


def check_images(name, x, image_size=None, *, bounded=True):
    """Return x if it is a floating-point tensor (n, 1, S, S), n >= 1, in [0, 1]; or raise.

    What a network generated can lie outside [0, 1]; ``bounded=False`` asks for finite values only.
    """
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise TypeError(f"{name} must be a floating-point tensor, got {kind}")
    side = "S" if image_size is None else image_size
    fits = x.ndim == 4 and x.shape[1] == 1 and x.shape[2] == x.shape[3] and len(x)
    if not fits or (image_size is not None and x.shape[2] != image_size):
        raise ValueError(f"{name} must have shape (n, 1, {side}, {side}), got {tuple(x.shape)}")
    if not bounded and not x.isfinite().all():
        raise ValueError(f"{name} must have finite values")
    if bounded and not ((x >= 0) & (x <= 1)).all():
        raise ValueError(
            f"{name} must have values in [0, 1], got {x.min().item():g} to {x.max().item():g}"
        )
    return x


def synthetic_images(n_images, image_size, seed, mean=MEAN, std=STD):
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

    Returns
    -------
    Tensor of float32, shape (n, 1, S, S)
    """
    check_integer("n_images", n_images, 1)
    check_integer("image_size", image_size, 1)
    check_real("mean", mean, 0, 1)
    check_real("std", std, 0, 1, open_low=True)
    generator = torch.Generator().manual_seed(check_integer("seed", seed, 0))
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

    def subset(self, n_images, half=0):
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


def digits(seed=0):
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
    generator = torch.Generator().manual_seed(check_integer("seed", seed, 0))
    order = torch.randperm(len(pixels), generator=generator)
    out, rest = order[:HELD_OUT], order[HELD_OUT:]
    return Digits(pixels[rest], pixels[out], labels[rest], labels[out])
