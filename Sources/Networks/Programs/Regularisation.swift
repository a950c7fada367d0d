/// What the update's pass does against overfitting.
public struct Regularisation: Sendable, Equatable {
  /// Share of the head's inputs that are left out, below 1.
  public var dropout: Double
  /// How often the last residual branch is left out of an image's pass, below 1.
  public var dropPath: Double
  /// Share of the target that both classes have in equal parts.
  public var labelSmoothing: Double

  public init(dropout: Double = 0, dropPath: Double = 0, labelSmoothing: Double = 0) {
    self.dropout = dropout
    self.dropPath = dropPath
    self.labelSmoothing = labelSmoothing
  }
}

/// Whose draws the images of a batch have: a stream for each image and purpose, wherever in a batch and
/// on whichever rank the image is.
public struct SampleKeys {
  public var seed: UInt64
  /// How many times each image was drawn before.
  public var visits: UnsafeBufferPointer<Int>
  public var identifiers: UnsafeBufferPointer<Int>

  public init(
    seed: UInt64, visits: UnsafeBufferPointer<Int>, identifiers: UnsafeBufferPointer<Int>
  ) {
    self.seed = seed
    self.visits = visits
    self.identifiers = identifiers
  }
}
