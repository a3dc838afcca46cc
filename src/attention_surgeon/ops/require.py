from attention_surgeon.require import *  # noqa
