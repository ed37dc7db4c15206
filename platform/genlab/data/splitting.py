"""Fixed splits: `python -m genlab.data.splitting` writes the digits' index files anew."""

from pathlib import Path

import numpy as np


def stratified_split(labels: np.ndarray, shares: dict[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    """Disjoint index sets in the proportion `shares`, each class in that proportion to within two samples.

    Each class is shuffled, the classes are laid in a row, and the row is dealt out like cards.

    Args:
        labels: class of each sample, (N,).
        shares: cards per round and name.
        seed: of the shuffle (a Philox stream, equal on every machine).

    Returns:
        The samples of each name, ascending.

    >>> parts = stratified_split(np.arange(100) % 4, {"train": 3, "val": 1, "test": 1})
    >>> {name: len(index) for name, index in parts.items()}
    {'train': 60, 'val': 20, 'test': 20}
    """
    # Only raw words of the generator are promised to stay the same between NumPy's versions.
    keys = np.random.Philox(key=seed).random_raw(len(labels))
    row = np.lexsort((keys, labels))
    dealt = np.resize(np.repeat(list(shares), list(shares.values())), len(row))
    return {name: np.sort(row[dealt == name]) for name in shares}


def shuffled(index: np.ndarray, seed: int = 1) -> np.ndarray:
    """Numbers in an order drawn once, equal on every machine.

    >>> shuffled(np.arange(4)).tolist()
    [3, 2, 0, 1]
    """
    return index[np.argsort(np.random.Philox(key=seed).random_raw(len(index)), kind="stable")]


def digits_split() -> dict[str, np.ndarray]:
    """The digits' 60/20/20 split, as it stands in data/splits/."""
    from sklearn.datasets import load_digits

    return stratified_split(load_digits().target, {"train": 3, "val": 1, "test": 1})


def main() -> None:
    folder = Path(__file__).parent / "splits"
    for name, index in digits_split().items():
        (folder / f"digits_{name}.txt").write_text("\n".join(map(str, index)) + "\n")


if __name__ == "__main__":
    main()
