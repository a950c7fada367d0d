/// A number for each channel: red, green, blue.
public struct ChannelValues: Sendable, Hashable {
  public var red: Double
  public var green: Double
  public var blue: Double

  /// The same number for all channels.
  public init(_ value: Double) { self.init(red: value, green: value, blue: value) }

  public init(red: Double, green: Double, blue: Double) {
    self.red = red
    self.green = green
    self.blue = blue
  }

  /// One number for all channels, or three; nil for a list of another length.
  public init?(_ list: [Double]) {
    switch list.count {
    case 1: self.init(list[0])
    case 3: self.init(red: list[0], green: list[1], blue: list[2])
    default: return nil
    }
  }

  /// The three, in the order of the channels.
  public var all: [Double] { [red, green, blue] }

  /// The number, where all channels have the same.
  public var common: Double? { red == green && green == blue ? red : nil }

  /// One number where all are the same, otherwise three.
  public var list: [Double] { common.map { [$0] } ?? all }
}

extension ChannelValues: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral {
  public init(floatLiteral value: Double) { self.init(value) }
  public init(integerLiteral value: Int) { self.init(Double(value)) }
}

extension ChannelValues: CustomStringConvertible {
  /// As options take it: `0.5`, or `0.485,0.456,0.406`.
  public var description: String { list.map { "\($0)" }.joined(separator: ",") }

  /// Reads ``description``: a number, or three with commas between them; nil for anything else.
  public init?(parsing text: String) {
    var numbers: [Double] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let digits = part.drop { $0 == " " }
      // Not "0x10", "nan" or "infinity", which Double would take.
      guard digits.utf8.allSatisfy({ byte in "0123456789+-.eE".utf8.contains(byte) }),
        let number = Double(digits), number.isFinite
      else { return nil }
      numbers.append(number)
    }
    self.init(numbers)
  }
}

/// Pixels of 0...255 as the network's input, (value / 255 − mean) / std for each channel, by table.
public struct PixelNormalisation: Sendable {
  public let mean: ChannelValues
  public let std: ChannelValues
  /// float32 [3, 256]: channel, value.
  private let table: [Float]

  /// In float32 throughout, in the order of the formula, as PyTorch's transforms do.
  public init(mean: ChannelValues = 0.5, std: ChannelValues = 0.25) {
    precondition(std.all.allSatisfy { $0 > 0 }, "std is positive")
    self.mean = mean
    self.std = std
    table = zip(mean.all, std.all).flatMap { mean, std in
      (0..<256).map { (Float($0) / 255 - Float(mean)) / Float(std) }
    }
  }

  /// The network's input for a value of a channel: 0 red, 1 green, 2 blue.
  public subscript(_ value: UInt8, channel channel: Int) -> Float {
    table[channel * 256 + Int(value)]
  }

  /// The network's input for pixels, uint8 [pixels, 3]; float32, of the same shape.
  public func input(of pixels: [UInt8]) -> [Float] {
    pixels.enumerated().map { self[$1, channel: $0 % 3] }
  }

  /// The levels 0...255 that input stands for, before they are rounded and clipped.
  ///
  /// - Parameters:
  ///   - input: of the network, in any precision.
  ///   - channel: 0 red, 1 green, 2 blue.
  public func level<Number: BinaryFloatingPoint>(of input: Number, channel: Int) -> Number {
    // Rounded to float32 first, as they are when pixels become input.
    let (mean, std) = (Number(Float(mean.all[channel])), Number(Float(std.all[channel])))
    return (input * std + mean) * 255
  }

  /// Cuts `geometry` from an image and normalises it.
  ///
  /// - Parameters:
  ///   - image: uint8 [height, width, 3].
  ///   - width: of the image.
  ///   - geometry: what is cut.
  ///   - out: float32 [side, side, 3].
  public func cut(
    _ geometry: CropGeometry, of image: UnsafeBufferPointer<UInt8>, width: Int,
    into out: UnsafeMutableBufferPointer<Float>
  ) {
    let side = geometry.side
    precondition(
      out.count >= side * side * 3 && geometry.top >= 0 && geometry.left >= 0
        && geometry.left + side <= width && image.count >= (geometry.top + side) * width * 3,
      "a crop of \(side) at (\(geometry.top), \(geometry.left)) lies inside the image")
    table.withUnsafeBufferPointer { table in
      let red = table.baseAddress!
      let (green, blue) = (red + 256, red + 512)
      for y in 0..<side {
        var source = image.baseAddress! + ((geometry.top + y) * width + geometry.left) * 3
        let to = out.baseAddress! + y * side * 3
        let step = geometry.isFlipped ? -3 : 3
        if geometry.isFlipped { source += (side - 1) * 3 }
        for x in 0..<side {
          to[x * 3] = red[Int(source[0])]
          to[x * 3 + 1] = green[Int(source[1])]
          to[x * 3 + 2] = blue[Int(source[2])]
          source += step
        }
      }
    }
  }
}
