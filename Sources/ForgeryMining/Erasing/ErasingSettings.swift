/// What is erased before an update, and how: the settings of all methods, with the paper's values as
/// defaults (Wang and Deng, CVPR 2021, section 4.1) but for the probability.
///
/// Each method takes of them what it knows (``ErasingMethod/init(_:crop:)``).
public struct ErasingSettings: Sendable, Equatable {
  public var method = ErasingMethodName(SuspiciousForgeriesErasing.self)
  /// Probability that an image is erased. The paper's is 1, over 500,000 updates; in trainings that end sooner it
  /// costs accuracy (<doc:ComparisonMethods>).
  public var probability = 0.5
  /// How both grow in the first updates.
  public var ramp = ErasingRamp()
  public var blocks = 3
  /// Largest block; nil: 120 at crop 224, in proportion at other crops.
  public var maxHeight: Int?
  public var maxWidth: Int?
  public var fill = ErasingFill.noise
  public var randomErasing = Random()
  public var attentionErasing = Attention()

  /// Of ``RandomErasing``.
  public struct Random: Sendable, Equatable {
    public var minArea = 0.02
    public var maxArea = 0.4
    /// Aspect ratios lie between this and one over it.
    public var minAspect = 0.3
  }

  /// Of ``AttentionErasing``.
  public struct Attention: Sendable, Equatable {
    public var fraction = 0.1
  }

  public init() {}

  /// The method with these settings, for images of `crop` pixels a side.
  public func erasing(crop: Int) -> any ErasingMethod { method.method.init(self, crop: crop) }
}
