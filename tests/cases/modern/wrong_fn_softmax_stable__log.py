# WRONG log_softmax: the logarithm is returned. Object: softmax
import numpy as np


def softmax(x, axis=-1):
    x_max = np.max(x, axis=axis, keepdims=True)
    e_x = np.exp(x - x_max)
    return (x - x_max) - np.log(e_x.sum(axis=axis, keepdims=True))
