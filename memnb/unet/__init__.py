"""Chapter 6: the transition in a U-Net, on images whose distribution is known and on digits."""
