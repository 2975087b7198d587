"""afm-train compare: nets and seeds on one split."""
