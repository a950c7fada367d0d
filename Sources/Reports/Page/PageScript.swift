import Foundation
import Foundations

/// What a page does for those who allow scripts: exact values under the pointer and a switch
/// between light and dark. Nothing is only readable with it.
enum PageScript {
  /// Nothing may be fetched but pictures beside the page, framed or sent; of scripts only this one runs.
  static func policy(_ pictures: PageFrame.Pictures) -> String {
    let sources =
      switch pictures {
      case .inside: "data:"
      // A page that was opened from a disk has no origin that all browsers take for its own.
      case .beside: "'self' file:"
      }
    return "default-src 'none'; img-src \(sources); style-src 'unsafe-inline'; "
      + "script-src 'sha256-\(digest)'; base-uri 'none'; form-action 'none'"
  }

  private static let digest: String = {
    var digest = SHA256()
    digest.update(Array(source.utf8))
    return Data(digest.finish()).base64EncodedString()
  }()

  /// Resources/report.js.
  static let source = String(decoding: PackageResources.report_js, as: UTF8.self)
}
