import FaceShards
import Faces
import Foundations
import Images
import Synchronization

/// Takes out of pictures what the detector is to see: their middle, or the faces in them. Any number of
/// threads may ask at once.
final class PictureReader: Sendable {
  /// What a detector sees of a picture.
  struct Part: Sendable {
    var image: RGBImage
    /// Nil where the picture was taken as it is.
    var face: Explanation.Face?
  }

  /// What is in a picture.
  struct Contents: Sendable {
    /// Largest first; empty where no face was found.
    var parts: [Part]
    /// The picture itself for the page, reduced; nil where it isn't drawn, or shows nothing more.
    var scene: RGBImage?
    /// Why faces could not be looked for.
    var failure: String?
  }

  /// The longer side of a photo on the page, and of a video's frame.
  static let photoSide = 1024
  static let frameSide = 640

  let extraction: FaceExtraction
  private let isDrawn: Bool
  private let kept: Preparation
  private let found: Preparation
  /// Croppers that nobody uses at the moment.
  private let idle = Mutex<[IdleCropper]>([])

  /// A cropper has one user at a time.
  private struct IdleCropper: @unchecked Sendable {
    let cropper: FaceCropper
  }

  /// - Parameter isDrawn: whether pictures are shown on a page.
  init(_ extraction: FaceExtraction, crop: Int, isDrawn: Bool) {
    self.extraction = extraction
    self.isDrawn = isDrawn
    kept = Preparation(crop: crop, size: extraction.size.kept)
    found = Preparation(crop: crop, size: extraction.size.found)
  }

  /// What is in an image.
  func image(_ image: RGBImage) -> Contents {
    switch extraction.images {
    case .keep: return Contents(parts: [Part(image: kept.apply(image))])
    case .detect:
      do {
        let faces = try withCropper { try $0.faces(in: image) }
        guard !faces.isEmpty else { return Contents(parts: []) }
        return Contents(
          parts: faces.enumerated().map { part($0.element, number: $0.offset, of: image) },
          scene: scene(of: image, side: Self.photoSide))
      } catch {
        return Contents(
          parts: [], failure: (error as? FaceError)?.detail ?? String(describing: error))
      }
    }
  }

  // MARK: Frames of a video

  /// A frame before the one face in it is chosen.
  struct Frame: Sendable {
    var frame: VideoFrame
    var boxes: [FaceBox]
    var scene: RGBImage?
  }

  /// What of a frame may be found out before the frame before it is looked at.
  func frame(_ frame: VideoFrame) throws -> Frame {
    let boxes =
      extraction.videos == .detect ? try withCropper { try $0.boxes(in: frame.image) } : []
    return Frame(
      frame: frame, boxes: boxes,
      scene: boxes.isEmpty ? nil : scene(of: frame.image, side: Self.frameSide))
  }

  /// The face of a frame that is followed, or the frame as it is; nil if it shows none.
  func part(of frame: Frame, track: inout FaceTrack) throws -> Part? {
    let image = frame.frame.image
    var part: Part
    switch extraction.videos {
    case .keep:
      part = Part(image: kept.apply(image))
      part.face = Explanation.Face(
        number: 0, box: [0, 0, Float(image.width - 1), Float(image.height - 1)],
        pictureWidth: image.width, pictureHeight: image.height)
    case .detect:
      let found = try withCropper {
        try $0.face(among: frame.boxes, in: image, track: &track)
      }
      guard let found else { return nil }
      part = self.part(found, number: 0, of: image)
    }
    part.face?.frame = frame.frame.index
    part.face?.time = frame.frame.time
    return part
  }

  private func part(_ face: CroppedFace, number: Int, of image: RGBImage) -> Part {
    Part(
      image: found.apply(face.image),
      face: Explanation.Face(
        number: number, box: face.box.corners, pictureWidth: image.width,
        pictureHeight: image.height))
  }

  private func scene(of image: RGBImage, side: Int) -> RGBImage? {
    guard isDrawn else { return nil }
    let longer = max(image.width, image.height)
    guard longer > side else { return image }
    return ImageResize.bilinear(
      image, width: max(1, image.width * side / longer),
      height: max(1, image.height * side / longer))
  }

  private func withCropper<Result>(_ body: (FaceCropper) throws -> Result) throws -> Result {
    let cropper = try idle.withLock { $0.popLast() }?.cropper ?? extraction.cropper()
    defer {
      let back = IdleCropper(cropper: cropper)
      idle.withLock { $0.append(back) }
    }
    return try body(cropper)
  }
}
