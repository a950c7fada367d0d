import Foundations

/// How faces are cut out of images.
public struct FaceCropSettings: Sendable, Equatable {
  /// How a face is turned and scaled.
  public enum Alignment: String, Sendable, CaseIterable {
    /// Not at all: the box with its margin, squared, as FaceForensics++ cuts it.
    case none
    /// Rotated and scaled so that eyes, nose and mouth come to lie where they always do, as
    /// DeepfakeBench does. Needs a landmark model.
    case similarity
  }

  public static let sizes = 16...4096
  public static let margins = 0.5...4.0
  public static let upsamplings = 0...3

  /// The crop's side in pixels.
  public var size: Int
  /// Side of what is shown, over that of the box, or of the template's square.
  public var margin: Double
  public var alignment: Alignment
  /// Whether the detector looks at brightness alone, as FaceForensics++ has it.
  public var detectsInGrey: Bool
  /// How often the image's sides are doubled for the detector.
  public var upsampling: Int

  public init(
    size: Int = 256, margin: Double = 1.3, alignment: Alignment = .none,
    detectsInGrey: Bool = false,
    upsampling: Int = 1
  ) {
    self.size = size
    self.margin = margin
    self.alignment = alignment
    self.detectsInGrey = detectsInGrey
    self.upsampling = upsampling
  }

  /// What of them is out of its range, if anything.
  var mistake: String? {
    if !Self.sizes.contains(size) {
      "size \(size): expected \(Self.sizes.lowerBound) to \(Self.sizes.upperBound) pixels"
    } else if !Self.margins.contains(margin) {
      "margin \(margin): expected \(Self.margins.lowerBound) to \(Self.margins.upperBound)"
    } else if !Self.upsamplings.contains(upsampling) {
      "upsampling \(upsampling): expected \(Self.upsamplings.lowerBound) to "
        + "\(Self.upsamplings.upperBound) times"
    } else {
      nil
    }
  }
}
