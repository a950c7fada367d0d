import Foundation

/// 255 · (v / 255)ᵞ, as torchvision's `adjust_gamma`: above 1 dark parts become darker.
struct Gamma: Augmentation {
  static let name = "gamma"
  static let summary = "made darker or lighter in its dark parts"
  static let part: UInt8 = 3
  static let exponent = AugmentationParameter(
    "exponent", 0.8...1.25, within: 0.01...100, "of values between 0 and 1; above 1 is darker")
  static let parameters = [exponent]

  let exponent: Double

  init(exponent: Double) { self.exponent = exponent }

  init(_ draws: inout AugmentationDraws) { self.init(exponent: draws.value(of: Self.exponent)) }

  func apply(to image: inout AugmentedImage) {
    image.replace(by: (0..<256).map { UInt8(level: 255 * pow(Double($0) / 255, exponent)) })
  }
}
