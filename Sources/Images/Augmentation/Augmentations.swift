import Tensors

/// What is done at random to training images, before they are cropped, mirrored and normalised.
///
/// Each augmentation that is on changes an image with its own probability, independently of the others,
/// and always in the order of ``all``. Draws belong to (seed, visit, sample): they are the same on any
/// rank, in any batch, and after a resume.
public struct Augmentations: Sendable {
  /// All there are, in the order in which they are applied: that in which a picture comes about. What is
  /// in front of the camera moves, then its light and colours change, then lens and motion blur it, the
  /// sensor adds noise, the camera sharpens, somebody makes it smaller, saves it, and hides a part.
  public static let all: [any Augmentation.Type] = [
    AffineWarp.self,
    Brightness.self,
    Contrast.self,
    Gamma.self,
    Saturation.self,
    Hue.self,
    Greyscale.self,
    SoftFocus.self,
    MotionBlur.self,
    PixelNoise.self,
    Sharpening.self,
    Downscaling.self,
    JPEGCompression.self,
    CoarseDropout.self,
  ]

  private struct Step: Sendable {
    let kind: any Augmentation.Type
    let setting: AugmentationSettings.Setting
  }

  /// Those that are on.
  private let steps: [Step]

  public init(_ settings: AugmentationSettings = AugmentationSettings()) {
    steps = Self.all.map { Step(kind: $0, setting: settings[$0.name]) }
      .filter { $0.setting.probability > 0 }
  }

  /// Whether none is on.
  public var isEmpty: Bool { steps.isEmpty }

  /// Changes an image.
  ///
  /// - Parameters:
  ///   - seed: of the run.
  ///   - visit: how often the sample was drawn before.
  ///   - sample: its number.
  /// - Throws: ``ImageError`` if the image is too large for JPEG (a side above 65,535 pixels).
  public func apply(
    to image: inout AugmentedImage, seed: UInt64, visit: Int, sample: Int
  ) throws {
    for step in steps {
      let change = Self.draw(
        step.kind, step.setting, height: image.picture.height, width: image.picture.width,
        seed: seed, visit: visit, sample: sample)
      try change?.apply(to: &image)
    }
  }

  /// One change; nil where the image is not chosen. Whether it is is the first draw of the stream.
  static func draw(
    _ kind: any Augmentation.Type, _ setting: AugmentationSettings.Setting, height: Int, width: Int,
    seed: UInt64, visit: Int, sample: Int
  ) -> (any Augmentation)? {
    var generator = CounterGenerator(
      seed: seed, epoch: UInt64(visit), sample: UInt64(sample), purpose: .augmentation,
      part: kind.part)
    guard generator.uniformDouble() < setting.probability else { return nil }
    var draws = AugmentationDraws(
      generator: generator, height: height, width: width, ranges: setting.ranges)
    return kind.init(&draws)
  }
}

/// How often, and how much, each of ``Augmentations/all`` changes images: never, unless said.
public struct AugmentationSettings: Sendable, Equatable {
  /// That of one augmentation.
  public struct Setting: Sendable, Equatable {
    /// Probability that an image is changed; 0: the augmentation is off.
    public var probability = 0.0
    /// What each parameter is drawn from, by its name.
    public var ranges: [String: ClosedRange<Double>]

    /// The range of a parameter.
    public subscript(range name: String) -> ClosedRange<Double> {
      get { ranges[name]! }
      set { ranges[name] = newValue }
    }
  }

  private var settings: [String: Setting]

  /// All off, with standard ranges.
  public init() {
    settings = Dictionary(
      uniqueKeysWithValues: Augmentations.all.map { kind in
        let ranges = kind.parameters.map { ($0.name, $0.standard) }
        return (kind.name, Setting(ranges: Dictionary(uniqueKeysWithValues: ranges)))
      })
  }

  /// That of an augmentation by its name.
  public subscript(_ name: String) -> Setting {
    get { settings[name]! }
    set { settings[name] = newValue }
  }
}
