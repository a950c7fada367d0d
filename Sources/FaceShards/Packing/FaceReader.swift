import Faces
import Foundations
import Images

/// Turns files into the faces that are stored. Every thread has its own.
final class FaceReader {
  private let recipe: PackRecipe
  private let cropper: FaceCropper?

  init(_ recipe: PackRecipe) throws {
    self.recipe = recipe
    cropper = try recipe.crop.map {
      try FaceCropper($0, landmarkModel: recipe.landmarkModel)
    }
  }

  /// Reads a file; `store` gets its faces.
  ///
  /// - Parameters:
  ///   - isStopped: asked between frames; the result means nothing after it has answered yes.
  ///   - step: called after every frame.
  /// - Throws: what `store` throws. What is wrong with the file is in the result.
  func read(
    _ path: BytePath, _ item: PlannedFile, number: Int, isStopped: () -> Bool,
    step: () -> Void = {}, store: (PackedFace) throws -> Void
  ) throws -> PackedItem {
    // Before it is read: a change while it is read must show.
    var result = PackedItem(item: number, identity: FileIdentity(of: path))
    var faces: [PackedFace] = []
    do {
      faces =
        try item.isVideo
        ? readVideo(path, item.mask, &result, isStopped: isStopped, step: step)
        : readImage(path, item.mask, &result)
    } catch let error as ImageError {
      result.skipped = Self.reason(error.name, error.detail, of: path)
    } catch let error as VideoError {
      result.skipped = Self.reason(error.path.description, error.detail, of: path)
    } catch let error as FaceError {
      result.skipped = error.detail
    } catch let error as Unusable {
      result.skipped = error.detail
    }
    for face in faces { try store(face) }
    result.faces = faces.count
    return result
  }

  /// A file that can be read but gives nothing.
  private struct Unusable: Error {
    let detail: String
  }

  /// Names the file that is wrong where it is the mask.
  private static func reason(_ name: String, _ detail: String, of path: BytePath) -> String {
    name == path.description ? detail : "its mask \(name): \(detail)"
  }

  // MARK: Images

  private func readImage(_ path: BytePath, _ mask: BytePath?, _ result: inout PackedItem) throws
    -> [PackedFace]
  {
    let image = try ImageDecoder.decode(path: path)
    let mask = try mask.map { GreyMask(try ImageDecoder.decode(path: $0)) }
    var track = FaceTrack()
    guard let face = try face(in: image, mask: mask, &track, frame: FaceOrigin.noFrame) else {
      throw Unusable(
        detail: mask?.isMarked == true ? "no face found where its mask is" : "no face found")
    }
    return [face]
  }

  // MARK: Videos

  private func readVideo(
    _ path: BytePath, _ mask: BytePath?, _ result: inout PackedItem, isStopped: () -> Bool,
    step: () -> Void
  ) throws -> [PackedFace] {
    let choice = FrameChoice.evenly(recipe.settings.framesPerVideo)
    return try withoutActuallyEscaping(isStopped) { isStopped in
      let masks = try mask.map { path in
        try VideoReader(path: path, isCancelled: isStopped).read(choice) { frame in
          defer { step() }
          return GreyMask(frame.image)
        }
      }
      var track = FaceTrack()
      let reading = try VideoReader(path: path, isCancelled: isStopped).read(choice) { frame in
        defer { step() }
        // A pass begins anew.
        if frame.ordinal == 0 { track = FaceTrack() }
        return try face(
          in: frame.image, mask: masks.flatMap { $0.results[safe: frame.ordinal] }, &track,
          frame: Int32(frame.index))
      }
      if let masks {
        guard masks.frameCount == reading.frameCount else {
          throw Unusable(
            detail:
              "it has \(reading.frameCount) frames, its mask \(mask!) \(masks.frameCount): they"
              + " don't belong together")
        }
        // What is missing in one may not be what is missing in the other.
        guard masks.frameCount == masks.expectedCount, reading.frameCount == reading.expectedCount
        else {
          throw Unusable(
            detail:
              "frames of it or of its mask \(mask!) don't decode, so that nothing says which belong"
              + " together")
        }
      }
      let faces = reading.results.compactMap(\.self)
      result.frames = reading.results.count
      result.framesWithoutFace = result.frames - faces.count
      result.notes = reading.notes
      guard !faces.isEmpty else {
        throw Unusable(detail: "no face found in any of \(result.frames) frames")
      }
      return faces
    }
  }

  // MARK: Faces

  /// The face of a picture, or the picture as it is; nil where no face is found.
  private func face(
    in image: RGBImage, mask: GreyMask?, _ track: inout FaceTrack, frame: Int32
  ) throws -> PackedFace? {
    let row = recipe.row
    guard let cropper else { return try whole(image, mask, frame: frame) }
    guard let found = try cropper.face(in: image, mask: mask, track: &track) else { return nil }
    let corners = found.box.corners
    return PackedFace(
      pixels: found.image.pixels, mask: found.mask,
      origin: FaceOrigin(
        frame: frame, box: SIMD4(corners[0], corners[1], corners[2], corners[3]),
        landmarks: row.hasLandmarks ? found.landmarks : nil))
  }

  /// The largest square around the centre.
  private func whole(_ image: RGBImage, _ mask: GreyMask?, frame: Int32) throws -> PackedFace {
    let size = recipe.settings.size
    func resized(_ image: RGBImage) -> [UInt8] {
      ImageResize.bilinear(image.centreSquare(), width: size, height: size).pixels
    }
    var face = PackedFace(pixels: resized(image))
    if let mask {
      guard (mask.width, mask.height) == (image.width, image.height) else {
        throw Unusable(
          detail:
            "it has \(image.width)×\(image.height) pixels, its mask \(mask.width)×\(mask.height)")
      }
      let levels = resized(
        RGBImage(
          width: mask.width, height: mask.height, pixels: mask.pixels.flatMap { [$0, $0, $0] }))
      face.mask = (0..<size * size).map { levels[3 * $0] >= 128 ? 255 : 0 }
    }
    if recipe.row.hasOrigins {
      face.origin = FaceOrigin(
        frame: frame, box: SIMD4(0, 0, Float(image.width - 1), Float(image.height - 1)))
    }
    return face
  }
}

extension Array {
  /// The element at `index`, if there is one.
  fileprivate subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
