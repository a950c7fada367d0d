/// Made smaller and brought back, both times by ``ImageResize``, which is Pillow's antialiased bilinear
/// (Albumentations' `Downscale` enlarges by the nearest pixel unless told otherwise); see
/// ``Degradation/resize(scale:)``.
struct Downscaling: Augmentation {
  static let name = "downscale"
  static let summary = "made smaller and brought back"
  static let part: UInt8 = 11
  static let scale = AugmentationParameter(
    "scale", 0.4...0.9, within: 0.01...1, "share of both sides in between")
  static let parameters = [scale]

  let scale: Double

  init(scale: Double) { self.scale = scale }

  init(_ draws: inout AugmentationDraws) { self.init(scale: draws.value(of: Self.scale)) }

  func apply(to image: inout AugmentedImage) {
    image.picture = image.picture.downscaledAndBack(scale)
  }
}
