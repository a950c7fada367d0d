import Foundation

extension FileError {
  /// - Parameter cause: an error of Foundation, which wraps what the system said.
  public init(operation: String, path: String, cause: any Error) {
    self.init(operation: operation, path: path, code: Self.number(of: cause))
  }

  private static func number(of error: any Error) -> Int32 {
    var next: NSError? = error as NSError
    while let current = next {
      if current.domain == NSPOSIXErrorDomain { return Int32(current.code) }
      next = (current.userInfo[NSUnderlyingErrorKey] as? any Error).map { $0 as NSError }
    }
    switch (error as NSError).code {
    case CocoaError.fileWriteNoPermission.rawValue, CocoaError.fileReadNoPermission.rawValue:
      return EACCES
    case CocoaError.fileWriteFileExists.rawValue: return EEXIST
    case CocoaError.fileWriteOutOfSpace.rawValue: return ENOSPC
    case CocoaError.fileWriteVolumeReadOnly.rawValue: return EROFS
    case CocoaError.fileNoSuchFile.rawValue, CocoaError.fileReadNoSuchFile.rawValue: return ENOENT
    default: return EIO
    }
  }
}
