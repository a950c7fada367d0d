import Foundations
import Images

/// A landmark model of dlib's format (`shape_predictor`): a cascade of forests of regression trees that
/// compare pixels (Kazemi and Sullivan, "One Millisecond Face Alignment with an Ensemble of Regression
/// Trees", CVPR 2014). It is read and evaluated here, not by dlib, whose reader trusts what a file says.
///
/// Models of 68 points (iBUG 300-W's), and of 81, of which the first 68 are the same ones. The data that
/// dlib's published 68-point model was trained on exclude commercial use.
public final class LandmarkModel: Sendable {
  /// Landmarks that are told of a face.
  public static let pointCount = 68

  /// Where distributions put the 68-point model: Debian's `libdlib-data`, and a local installation.
  public static let standardPaths = [
    "/usr/share/dlib/shape_predictor_68_face_landmarks.dat",
    "/usr/local/share/dlib/shape_predictor_68_face_landmarks.dat",
  ]

  /// The first of ``standardPaths`` that there is.
  public static var standardPath: String? {
    standardPaths.first { (try? FileReader(opening: $0)) != nil }
  }

  /// SHA-256 of the file, in hexadecimal.
  public let digest: String
  private let cascade: LandmarkCascade

  /// - Throws: `FileError` where the file can't be read, ``FaceError`` where it is no landmark model, is
  ///   damaged, or has other points.
  public init(path: String) throws {
    (cascade, digest) = try LandmarkFile.read(path)
  }

  /// The 68 landmarks of a face, in pixels of the image, whole numbers as dlib gives them; they may lie
  /// outside. `box` should be what ``FaceDetector`` found.
  public func landmarks(in image: RGBImage, of box: FaceBox) -> [SIMD2<Float>] {
    Array(cascade.shape(in: image, of: box).prefix(Self.pointCount))
  }
}
