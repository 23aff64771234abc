"""The architecture of the encoder in the box: a small residual network for product photos.

Basic blocks as in He et al., "Deep Residual Learning for Image Recognition" (2016), table 1, two a
stage, narrower than ResNet-18 and with a 3x3 stem, since the input is small.
"""

import torch
from torch import Tensor, nn

WIDTHS = (32, 64, 160, 320)
BLOCKS_PER_STAGE = 2
DIMENSION = WIDTHS[-1]


def _convolution(channels_in: int, channels_out: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around an identity (or 1x1 projected) shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(channels_in, channels_out, 3, stride)
        self.second = _convolution(channels_out, channels_out, 3, 1)
        reshapes = stride != 1 or channels_in != channels_out
        self.shortcut = _convolution(channels_in, channels_out, 1, stride) if reshapes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) float -> (B, C_out, H / stride, W / stride) float."""
        hidden = torch.relu(self.first(x))
        return torch.relu(self.second(hidden) + self.shortcut(x))


class CompactResNet(nn.Module):
    """A four-stage residual network, pooled and partly whitened; the embedding before normalisation.

    Pooled features are positive, so that no cosine between them is negative. `whitening` moves their mean
    over the training photos to the origin and evens out their spread.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, WIDTHS[0], 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        blocks: list[nn.Module] = []
        channels = WIDTHS[0]
        for stage, width in enumerate(WIDTHS):
            for block in range(BLOCKS_PER_STAGE):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(BasicBlock(channels, width, stride))
                channels = width
        self.stages = nn.Sequential(*blocks)
        self.whitening = nn.Linear(DIMENSION, DIMENSION)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised float -> (B, DIMENSION) float, not of unit norm."""
        whitened: Tensor = self.whitening(self.pooled(x))
        return whitened

    def pooled(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised float -> (B, DIMENSION) float, not negative; what training sees."""
        features: Tensor = self.stages(self.stem(x))  # (B, DIMENSION, H / 32, W / 32)
        return features.mean(dim=(2, 3))
