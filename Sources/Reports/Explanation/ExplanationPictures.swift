import ForgeryMining
import Images

/// What is drawn of an image that is explained; the end of the picture's name.
enum PictureKind: String, Sendable, CaseIterable {
  /// Its Forgery Attention Map over it.
  case fam
  /// The class activation map of fake less that of real over it.
  case cam
  /// The four others side by side.
  case sheet
  /// What the detector saw.
  case image
  /// What SFE would leave of it.
  case erased
}

/// Draws what a detector sees in single images.
struct ExplanationPictures: Sendable {
  /// Height and width of the detector's input, and of every picture but the sheet.
  let crop: Int
  let normalisation: PixelNormalisation
  /// Of the noise that shows what SFE would erase.
  let seed: UInt64

  /// Writes an image's pictures, `BASE-KIND.png`.
  ///
  /// - Parameters:
  ///   - image: what the detector saw.
  ///   - sample: its place among all images: the seed's own noise for each, whichever rank it falls to.
  ///   - attention: its FAM, float32 `[crop, crop]`, as it is and normalised.
  ///   - activation: CAM of fake less CAM of real, float32 `[height, width]`; nil where a detector has
  ///     none, which then is not drawn.
  /// - Returns: the files.
  /// - Throws: `ImageError` if one can't be written.
  func write(
    _ image: RGBImage, sample: UInt64, attention: (raw: [Float], normalised: [Float]),
    activation: (map: [Float], width: Int, height: Int)?, base: String
  ) throws -> [Explanation.Drawn] {
    var streams = ErasingStreams(seed: seed, epoch: 0, sample: sample)
    let erased = ErasedPicture.render(
      image, attention: attention.raw,
      erasing: SuspiciousForgeriesErasing(ErasingSettings(), crop: crop),
      normalisation: normalisation, streams: &streams)
    // FAM is spiky: the normalised map, smoothed by half, is what prototypes are made of too.
    let fam = Heatmap.overlay(attention.normalised, width: crop, height: crop, on: image)
    let cam = activation.map {
      Heatmap.overlay($0.map, width: $0.width, height: $0.height, on: image)
    }
    return try PictureKind.allCases.compactMap { kind in
      let panels = [image, fam, cam, erased].compactMap(\.self)
      let picture: RGBImage? =
        switch kind {
        case .fam: fam
        case .cam: cam
        case .sheet: PictureGrid.render(panels, columns: panels.count, gap: 4)
        case .image: image
        case .erased: erased
        }
      guard let picture else { return nil }
      let path = Self.path(base, kind)
      try PNGCodec.write(picture, to: path)
      return Explanation.Drawn(kind: kind, path: path)
    }
  }

  static func path(_ base: String, _ kind: PictureKind) -> String { "\(base)-\(kind.rawValue).png" }
}
