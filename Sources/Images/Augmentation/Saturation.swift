/// Distances of a pixel's channels from its own grey times a factor, as torchvision's
/// `adjust_saturation` and Pillow's `ImageEnhance.Color` (which rounds the grey). Albumentations' and
/// OpenCV's way by HSV changes how light a pixel looks as well.
struct Saturation: Augmentation {
  static let name = "saturation"
  static let summary = "given stronger or weaker colours"
  static let part: UInt8 = 4
  static let factor = AugmentationParameter(
    "factor", 0.7...1.3, within: 0...10, "of distances from a pixel's grey; 0 is grey")
  static let parameters = [factor]

  let factor: Double

  init(factor: Double) { self.factor = factor }

  init(_ draws: inout AugmentationDraws) { self.init(factor: draws.value(of: Self.factor)) }

  func apply(to image: inout AugmentedImage) {
    image.replacePixels { red, green, blue in
      let grey = Luma.of(red, green, blue)
      func changed(_ value: UInt8) -> UInt8 {
        UInt8(level: grey + factor * (Double(value) - grey))
      }
      return (changed(red), changed(green), changed(blue))
    }
  }
}
