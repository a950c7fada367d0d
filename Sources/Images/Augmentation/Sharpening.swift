/// What a smoothing filter would take away, added: v + amount · (v − smooth(v)), where smooth is the mean
/// of 3 × 3 pixels in which the middle one counts five times. Pillow's `ImageEnhance.Sharpness` and
/// torchvision's `adjust_sharpness` with the factor 1 + amount; as there, border pixels stay.
/// (Albumentations' `Sharpen` with `lightness` 1 and `alpha` a is an amount of 13 a.)
struct Sharpening: Augmentation {
  static let name = "sharpen"
  static let summary = "sharpened"
  static let part: UInt8 = 10
  static let amount = AugmentationParameter(
    "amount", 0.5...2.5, within: 0...100, "how often what a smoothing filter takes away is added")
  static let parameters = [amount]

  let amount: Double

  init(amount: Double) { self.amount = amount }

  init(_ draws: inout AugmentationDraws) { self.init(amount: draws.value(of: Self.amount)) }

  func apply(to image: inout AugmentedImage) { image.picture.sharpen(amount) }
}

extension RGBImage {
  /// Adds so many times what a smoothing filter would take away, see ``Sharpening``.
  package mutating func sharpen(_ amount: Double) {
    guard width > 2, height > 2 else { return }
    let row = width * 3
    let share = amount / 13
    let before = pixels
    before.withUnsafeBufferPointer { source in
      /// The sum of a value and those beside it.
      func three(_ place: Int) -> Int {
        Int(source[place - 3]) + Int(source[place]) + Int(source[place + 3])
      }
      pixels.withUnsafeMutableBufferPointer { out in
        for y in 1..<height - 1 {
          for place in y * row + 3..<(y + 1) * row - 3 {
            let around = three(place - row) + three(place) + three(place + row)
            let value = Int(source[place])
            out[place] = UInt8(level: Double(value) + share * Double(9 * value - around))
          }
        }
      }
    }
  }
}
