import CDlib
import Images

/// dlib's frontal face detector (King, "Max-Margin Object Detection", 2015): histograms of oriented
/// gradients over a pyramid of sizes, five linear filters. It finds upright faces of at least 80 pixels;
/// with the image upsampled once, of at least 40. Its filters are part of dlib; no file is read.
///
/// It owns memory to work in: one detector a thread. The first takes a third of a second to unpack the
/// filters, all others share them.
public final class FaceDetector {
  /// Images that would have more pixels than this when they are upsampled are upsampled less often, and
  /// larger ones are reduced: 2²⁵, which a frame of 3840×2160 pixels, upsampled once, just stays below.
  /// Finding faces takes about 12 bytes for each of them.
  public static let maximumPixels = 1 << 25

  /// Faces that are told of one image; dlib gives the best first.
  static let maximumFaces = 1024

  /// The version of dlib, as in "19.24.0".
  public static var version: String { String(cString: rfm_dlib_version()) }

  private let handle: OpaquePointer

  /// - Throws: ``FaceError`` where there is no memory.
  public init() throws {
    handle = try FrontalFilters.shared.get().copy()
  }

  deinit { rfm_dlib_detector_destroy(handle) }

  /// The faces of an image, best score first: what Python's `detector(image, upsampling)` gives.
  ///
  /// - Parameters:
  ///   - grey: detects in the image's brightness, as FaceForensics++ does, not in its colours. The faces
  ///     are mostly the same.
  ///   - upsampling: how often the image's sides are doubled before; less often where it would become
  ///     larger than ``maximumPixels`` (``Scale``).
  /// - Throws: ``FaceError`` where there is no memory.
  public func faces(in image: RGBImage, grey: Bool = false, upsampling: Int = 1) throws -> [FaceBox]
  {
    let scale = Scale(width: image.width, height: image.height, upsampling: upsampling)
    let source =
      scale.isReduced
      ? ImageResize.bilinear(image, width: scale.width, height: scale.height) : image
    let boxes = try detect(
      grey ? GreyLevels.of(source) : source.pixels, width: source.width, height: source.height,
      channels: grey ? 1 : 3, upsamplings: scale.upsamplings)
    guard scale.isReduced else { return boxes }
    // Of edges, which lie half a pixel outside the centres.
    let across = Float(image.width) / Float(scale.width)
    let down = Float(image.height) / Float(scale.height)
    return boxes.map {
      FaceBox(
        left: (($0.left - 0.5) * across + 0.5).rounded(),
        top: (($0.top - 0.5) * down + 0.5).rounded(),
        right: (($0.right + 0.5) * across - 0.5).rounded(),
        bottom: (($0.bottom + 0.5) * down - 0.5).rounded(), score: $0.score)
    }
  }

  /// At what size an image's faces are looked for.
  public struct Scale: Sendable, Equatable {
    /// The size of the image before it is upsampled: its own, or reduced.
    public let width: Int
    public let height: Int
    public let isReduced: Bool
    /// How often its sides are doubled.
    public let upsamplings: Int

    public init(
      width: Int, height: Int, upsampling: Int, maximumPixels: Int = FaceDetector.maximumPixels
    ) {
      precondition(width > 0 && height > 0 && upsampling >= 0)
      let pixels = Double(width) * Double(height)
      isReduced = pixels > Double(maximumPixels)
      let reduction = isReduced ? (Double(maximumPixels) / pixels).squareRoot() : 1
      let across = max(1, Int(Double(width) * reduction))
      let down = max(1, Int(Double(height) * reduction))
      // An image so thin that its shorter side can't be reduced in proportion loses more of the longer.
      self.width = min(across, maximumPixels / min(down, across))
      self.height = min(down, maximumPixels / min(down, across))
      var (doublings, doubled) = (0, pixels * 4)
      while doublings < upsampling && doubled <= Double(maximumPixels) {
        doublings += 1
        doubled *= 4
      }
      upsamplings = doublings
    }
  }

  private func detect(
    _ pixels: [UInt8], width: Int, height: Int, channels: Int, upsamplings: Int
  ) throws -> [FaceBox] {
    var count = 0
    var message = [CChar](repeating: 0, count: Int(RFM_DLIB_MESSAGE_SIZE))
    return try withUnsafeTemporaryAllocation(of: rfm_dlib_box.self, capacity: Self.maximumFaces) {
      boxes in
      let status = pixels.withUnsafeBufferPointer {
        rfm_dlib_detect(
          handle, $0.baseAddress, Int64(width), Int64(height), Int32(channels), Int32(upsamplings),
          boxes.baseAddress, boxes.count, &count, &message)
      }
      guard status == RFM_DLIB_OK else {
        throw FaceError(
          status, message,
          doing: "no faces can be looked for in an image of \(width)×\(height) pixels")
      }
      return boxes[..<count].map {
        FaceBox(
          left: Float($0.left), top: Float($0.top), right: Float($0.right),
          bottom: Float($0.bottom), score: Float($0.score))
      }
    }
  }
}

/// The unpacked filters, which every detector is a copy of. Nothing changes them.
private final class FrontalFilters: @unchecked Sendable {
  static let shared = Result { () throws(FaceError) in try FrontalFilters() }

  private let handle: OpaquePointer

  init() throws(FaceError) {
    var message = [CChar](repeating: 0, count: Int(RFM_DLIB_MESSAGE_SIZE))
    var made: OpaquePointer?
    let status = rfm_dlib_detector_create(nil, &made, &message)
    guard status == RFM_DLIB_OK, let made else {
      throw FaceError(status, message, doing: "the face detector can't be made")
    }
    handle = made
  }

  deinit { rfm_dlib_detector_destroy(handle) }

  func copy() throws(FaceError) -> OpaquePointer {
    var message = [CChar](repeating: 0, count: Int(RFM_DLIB_MESSAGE_SIZE))
    var made: OpaquePointer?
    let status = rfm_dlib_detector_copy(handle, &made, &message)
    guard status == RFM_DLIB_OK, let made else {
      throw FaceError(status, message, doing: "the face detector can't be made")
    }
    return made
  }
}

extension FaceError {
  fileprivate init(_ status: rfm_dlib_status, _ message: [CChar], doing what: String) {
    let text = message.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    self.init(
      detail: status == RFM_DLIB_OUT_OF_MEMORY
        ? "\(what): there is not enough memory" : "\(what): dlib says: \(text)",
      exitStatus: .internalError)
  }
}
