"""Task 3b: two language models, one under the causal mask, one under the reversed one: python language.py

The model and its training are given; the loss and the masks (masks.py) are yours.
"""

import torch
from torch import nn
from torch.nn import functional as F

LENGTH, WIDTH, NUM_STEPS, BATCH = 24, 48, 400, 32


def next_token_loss(logits, tokens):
    """Return the mean cross-entropy, one number in nats, of foretelling each next token.

    logits: (batch, n, vocabulary), what position i says about token i + 1; tokens: (batch, n), whole numbers.
    """
    # BEGIN SOLUTION
    # STUB: # 1. leave out the last prediction (nobody knows what follows) and the first token (nobody foretold it)
    # STUB: # 2. F.cross_entropy takes logits (N, vocabulary) and targets (N,): flatten both
    foretold = logits[:, :-1]
    happened = tokens[:, 1:]
    return F.cross_entropy(foretold.reshape(-1, foretold.shape[-1]), happened.reshape(-1))
    # END SOLUTION


class TinyModel(nn.Module):
    """Characters and places become vectors, one layer of attention, one guess for each position."""

    def __init__(self, vocabulary, mask):
        super().__init__()
        self.mask = mask  # (LENGTH, LENGTH), added to the scores
        self.characters, self.places = nn.Embedding(vocabulary, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.guess = nn.Sequential(nn.Linear(2 * WIDTH, 4 * WIDTH), nn.ReLU(), nn.Linear(4 * WIDTH, vocabulary))

    def forward(self, tokens):
        n = tokens.shape[1]
        x = self.characters(tokens) + self.places.weight[:n]
        scores = self.query(x) @ self.key(x).transpose(-2, -1) / WIDTH**0.5 + self.mask[:n, :n]
        gathered = torch.softmax(scores, dim=-1) @ self.value(x)
        return self.guess(torch.cat([x, gathered], dim=-1))


def train(mask, data, vocabulary):
    """Return the trained model and its loss over the last steps."""
    torch.manual_seed(0)
    model = TinyModel(vocabulary, mask)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(NUM_STEPS):
        starts = torch.randint(len(data) - LENGTH, (BATCH,))
        tokens = torch.stack([data[start : start + LENGTH] for start in starts])
        loss = next_token_loss(model(tokens), tokens)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, sum(losses[-50:]) / 50


def writing_loss(model, data):
    """Return the loss where it counts: at the last position, after which nothing stands yet."""
    starts = torch.arange(0, len(data) - LENGTH, LENGTH)
    tokens = torch.stack([data[start : start + LENGTH] for start in starts])
    with torch.no_grad():
        logits = model(tokens[:, :-1])[:, -1]
    return F.cross_entropy(logits, tokens[:, -1]).item()


def main():
    from attention_surgeon.models import shipped_corpus
    from masks import create_causal_mask, create_reverse_mask

    torch.set_num_threads(1)  # for thousands of small products one thread is faster than several
    text = shipped_corpus()
    characters = sorted(set(text))
    data = torch.tensor([characters.index(character) for character in text])
    cut = len(data) * 9 // 10
    print("loss in nats; guessing:", f"{torch.tensor(float(len(characters))).log():.2f}")
    print("model       in training   asked to write")
    for name, create_mask in [("A causal", create_causal_mask), ("B reverse", create_reverse_mask)]:
        model, loss = train(create_mask(LENGTH), data[:cut], len(characters))
        print(f"{name:<11} {loss:>11.2f} {writing_loss(model, data[cut:]):>16.2f}")


if __name__ == "__main__":
    main()
