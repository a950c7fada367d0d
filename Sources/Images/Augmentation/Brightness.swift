/// A share of full white added to every value, as Albumentations' `RandomBrightnessContrast` with its
/// default `brightness_by_max` (torchvision and Pillow multiply instead, which leaves black as it is).
struct Brightness: Augmentation {
  static let name = "brightness"
  static let summary = "made lighter or darker"
  static let part: UInt8 = 1
  static let shift = AugmentationParameter(
    "shift", -0.2...0.2, within: -1...1, "share of 255 that is added to every value")
  static let parameters = [shift]

  let shift: Double

  init(shift: Double) { self.shift = shift }

  init(_ draws: inout AugmentationDraws) { self.init(shift: draws.value(of: Self.shift)) }

  func apply(to image: inout AugmentedImage) {
    image.replace(by: (0..<256).map { UInt8(level: Double($0) + 255 * shift) })
  }
}
