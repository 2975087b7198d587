"""The columns of a log, kept as codes and numbers; what is learnt of them and made of them."""
