import Tensors

/// A random change of training images: one type that knows its parameters, draws them for an image, and
/// changes it.
///
/// A value of it is one change, already drawn: `apply` is a pure function. A new one is one file with a
/// type like this one, and its line in ``Augmentations/all``:
///
///     struct Brightness: Augmentation {
///       static let name = "brightness"
///       static let summary = "made lighter or darker"
///       static let part: UInt8 = 1
///       static let shift = AugmentationParameter("shift", -0.2...0.2, within: -1...1, "…")
///       static let parameters = [shift]
///       let shift: Double
///       init(_ draws: inout AugmentationDraws) { shift = draws.value(of: Self.shift) }
///       func apply(to image: inout AugmentedImage) { … }
///     }
public protocol Augmentation: Sendable {
  /// What configurations call it.
  static var name: String { get }
  /// What it does, in a few words behind "an image is": "made lighter or darker".
  static var summary: String { get }
  /// Which part of a sample's stream it draws from (`CounterGenerator`), another for each: switching one
  /// on changes nothing that another draws. Part of what makes a run reproducible: never changed.
  static var part: UInt8 { get }
  /// What is drawn, besides whether the image is changed at all.
  static var parameters: [AugmentationParameter] { get }

  /// Draws one change.
  init(_ draws: inout AugmentationDraws)

  /// Changes an image, and its mask where pixels move.
  func apply(to image: inout AugmentedImage) throws
}

/// A number that an ``Augmentation`` draws evenly from a range, which is a setting.
public struct AugmentationParameter: Sendable {
  public let name: String
  /// The range unless another is set.
  public let standard: ClosedRange<Double>
  /// Where ranges may lie.
  public let bounds: ClosedRange<Double>
  /// Whether whole numbers are drawn, both ends included.
  public let isWhole: Bool
  /// One sentence, with the unit.
  public let documentation: String

  public init(
    _ name: String, _ standard: ClosedRange<Double>, within bounds: ClosedRange<Double>,
    isWhole: Bool = false, _ documentation: String
  ) {
    self.name = name
    self.standard = standard
    self.bounds = bounds
    self.isWhole = isWhole
    self.documentation = documentation
  }
}

/// What an ``Augmentation`` draws a change of one image from.
public struct AugmentationDraws: Sendable {
  /// The image's stream for this augmentation, after the draw that chose the image.
  public var generator: CounterGenerator
  /// Of the image, in pixels.
  public let height: Int
  public let width: Int
  private let ranges: [String: ClosedRange<Double>]

  /// - Parameter ranges: by the names of the parameters.
  public init(
    generator: CounterGenerator, height: Int, width: Int, ranges: [String: ClosedRange<Double>]
  ) {
    self.generator = generator
    self.height = height
    self.width = width
    self.ranges = ranges
  }

  /// The next draw of a parameter: uniform in its range.
  public mutating func value(of parameter: AugmentationParameter) -> Double {
    let range = ranges[parameter.name] ?? parameter.standard
    return range.lowerBound + (range.upperBound - range.lowerBound) * generator.uniformDouble()
  }

  /// The next draw of a parameter of whole numbers: each of its range equally likely.
  public mutating func whole(of parameter: AugmentationParameter) -> Int {
    let range = ranges[parameter.name] ?? parameter.standard
    let (low, high) = (Int(range.lowerBound), Int(range.upperBound))
    return low + generator.below(high - low + 1)
  }
}

/// An image that is being augmented, and what goes with it.
public struct AugmentedImage: Sendable {
  /// Whole, before it is cropped.
  public var picture: RGBImage
  /// uint8 `[height, width]`, 255 where forged; it follows pixels that move. nil where none is wanted.
  public var mask: [UInt8]?
  /// Whether pixels have moved: what is known of places in the stored image no longer holds.
  public var isWarped = false

  public init(_ picture: RGBImage, mask: [UInt8]? = nil) {
    precondition(
      mask.map { $0.count == picture.width * picture.height } ?? true,
      "a mask is as large as its image")
    self.picture = picture
    self.mask = mask
  }
}

extension AugmentedImage {
  /// Replaces every value by what a table of 256 says.
  mutating func replace(by table: [UInt8]) {
    picture.pixels.withUnsafeMutableBufferPointer { pixels in
      table.withUnsafeBufferPointer { table in
        for i in pixels.indices { pixels[i] = table[Int(pixels[i])] }
      }
    }
  }

  /// Replaces every pixel.
  ///
  /// - Parameter change: of red, green and blue, 0…255.
  @inline(__always)
  mutating func replacePixels(
    _ change: (_ red: UInt8, _ green: UInt8, _ blue: UInt8) -> (UInt8, UInt8, UInt8)
  ) {
    picture.pixels.withUnsafeMutableBufferPointer { pixels in
      for i in stride(from: 0, to: pixels.count, by: 3) {
        (pixels[i], pixels[i + 1], pixels[i + 2]) = change(pixels[i], pixels[i + 1], pixels[i + 2])
      }
    }
  }
}

extension UInt8 {
  /// A grey level rounded to the nearest, halves up, and cut to 0…255.
  @inlinable @inline(__always)
  package init(level: Double) { self = UInt8(Swift.min(Swift.max(level, 0), 255) + 0.5) }
}

/// Weights of red, green and blue in luma (ITU-R BT.601), which Pillow, OpenCV and torchvision use.
enum Luma {
  static let red = 0.299
  static let green = 0.587
  static let blue = 0.114

  @inline(__always)
  static func of(_ red: UInt8, _ green: UInt8, _ blue: UInt8) -> Double {
    Self.red * Double(red) + Self.green * Double(green) + Self.blue * Double(blue)
  }
}
