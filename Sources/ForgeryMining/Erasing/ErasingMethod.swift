/// A way of erasing images before an update: one value that knows its settings, what it needs of the
/// detector, and what it erases.
///
/// The methods are pure functions on one image; whoever has a detector and a batch asks the value what
/// to prepare (``guide``), and hands it over. A new method is one file with a type like this one, and
/// its line in ``ErasingMethods/all``:
///
///     struct CentreErasing: ErasingMethod {
///       static let name = "centre"
///       static let summary = "the middle of the image"
///       static let manner = "with the middle erased"
///       let guide = ErasingGuide.nothing
///       let probability: Double
///       init(_ settings: ErasingSettings, crop: Int) { probability = settings.probability }
///       func erase(_ image: ErasedImage, streams: inout ErasingStreams) { … }
///     }
public protocol ErasingMethod: Sendable {
  /// What configurations call it.
  static var name: String { get }
  /// What it erases, in a few words: "suspicious forgeries (the paper)".
  static var summary: String { get }
  /// How a training with it is told, behind "trained": "by Suspicious Forgeries Erasing".
  static var manner: String { get }

  /// - Parameters:
  ///   - settings: those of all methods.
  ///   - crop: side in pixels of the square that the network sees.
  init(_ settings: ErasingSettings, crop: Int)

  /// Probability that an image is erased at all; see `ErasingStreams.chooses(probability:)`.
  var probability: Double { get }

  /// What must be known of an image before it is erased.
  var guide: ErasingGuide { get }

  /// Bytes of memory that erasing one image works in; none unless said.
  func scratchSize(height: Int, width: Int) -> Int

  /// Erases an image that was chosen. Nothing may be allocated: it runs in every step.
  ///
  /// - Parameter streams: the image's, after `chooses(probability:)` said yes.
  func erase(_ image: ErasedImage, streams: inout ErasingStreams)
}

extension ErasingMethod {
  public func scratchSize(height: Int, width: Int) -> Int { 0 }
}

/// What a method wants to know of the detector, for each image that it erases.
public enum ErasingGuide: Sendable {
  /// Nothing: the detector is not asked.
  case nothing
  /// CAM_fake − CAM_real, upsampled to the image (see `classActivationMap`).
  case classActivation
  /// The Forgery Attention Map (see `forgeryAttentionMap`).
  case forgeryAttention
}

/// An image that is being erased, and what belongs to it.
public struct ErasedImage {
  /// float32 `[height, width, 3]` in normalised space, changed in place.
  public let pixels: UnsafeMutableBufferPointer<Float>
  /// What the method's guide asked for, float32 `[height, width]`; empty for ``ErasingGuide/nothing``.
  public let guide: UnsafeBufferPointer<Float>
  public let height: Int
  public let width: Int
  /// How much may be erased at most, as a share of what the method's settings say, above 0 and at most 1:
  /// below 1 where an ``ErasingRamp`` is under way. A method applies it to its largest size.
  public let extent: Double
  /// At least as long as `scratchSize(height:width:)` says, aligned to 64 bytes; its content means
  /// nothing.
  public let scratch: UnsafeMutableRawBufferPointer

  public init(
    pixels: UnsafeMutableBufferPointer<Float>, guide: UnsafeBufferPointer<Float>, height: Int,
    width: Int, extent: Double = 1, scratch: UnsafeMutableRawBufferPointer
  ) {
    precondition(extent > 0 && extent <= 1, "an extent above 0 and at most 1, not \(extent)")
    self.extent = extent
    self.pixels = pixels
    self.guide = guide
    self.height = height
    self.width = width
    self.scratch = scratch
  }
}

extension ErasingMethod {
  /// Erases an image in arrays, with memory of its own: for pictures, not for a step.
  ///
  /// - Parameters:
  ///   - image: float32 `[height, width, 3]` in normalised space.
  ///   - guide: what ``guide`` asks for, `[height, width]`.
  ///   - streams: the image's, after `chooses(probability:)` said yes.
  public func erase(
    image: inout [Float], guide: [Float], height: Int, width: Int, streams: inout ErasingStreams
  ) {
    let scratch = UnsafeMutableRawBufferPointer.allocate(
      byteCount: scratchSize(height: height, width: width), alignment: 64)
    defer { scratch.deallocate() }
    image.withUnsafeMutableBufferPointer { pixels in
      guide.withUnsafeBufferPointer { guide in
        erase(
          ErasedImage(
            pixels: pixels, guide: guide, height: height, width: width, scratch: scratch),
          streams: &streams)
      }
    }
  }
}

/// The methods that can be chosen.
public enum ErasingMethods {
  /// In the order in which comparisons show them.
  public static let all: [any ErasingMethod.Type] = [
    NoErasing.self,
    RandomErasing.self,
    AttentionErasing.self,
    SuspiciousForgeriesErasing.self,
  ]
}

/// The name of a method of ``ErasingMethods/all``, as configurations and comparisons hold it.
public struct ErasingMethodName: RawRepresentable, Hashable, Sendable, CaseIterable {
  public let rawValue: String

  public init(_ method: any ErasingMethod.Type) { rawValue = method.name }

  /// nil where no method is called so.
  public init?(rawValue: String) {
    guard ErasingMethods.all.contains(where: { $0.name == rawValue }) else { return nil }
    self.rawValue = rawValue
  }

  public static var allCases: [Self] { ErasingMethods.all.map { Self($0) } }

  /// The method itself.
  public var method: any ErasingMethod.Type {
    ErasingMethods.all.first { $0.name == rawValue }!
  }
}
